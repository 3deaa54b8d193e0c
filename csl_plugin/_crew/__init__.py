"""Processes of this machine that share the items of a job: this one, and the workers that it starts."""

from csl_plugin._crew.cores import available_cores
from csl_plugin._crew.crew import Crew, LostError, crew
from csl_plugin._crew.endings import how_it_ended, keeps_its_kind

__all__ = ["Crew", "LostError", "available_cores", "crew", "how_it_ended", "keeps_its_kind"]
