"""Where files are: a path of this machine, or a URL. Nothing is opened here, and little is imported."""

from csl_plugin.places.place import AnyPath, Place, is_file_place, is_folder_place, local_path, place_of
from csl_plugin.places.url import Listed, RemotePath, is_url

__all__ = [
    "AnyPath",
    "Listed",
    "Place",
    "RemotePath",
    "is_file_place",
    "is_folder_place",
    "is_url",
    "local_path",
    "place_of",
]
