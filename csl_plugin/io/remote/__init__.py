"""Object stores and servers, through fsspec, which is imported with the first URL."""

from csl_plugin.io.remote.store import fetched, list_folder, look_up, put, put_bytes, remove

__all__ = ["fetched", "list_folder", "look_up", "put", "put_bytes", "remove"]
