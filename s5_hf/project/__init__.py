"""Projects: one file describes the way from images and labels to an evaluated map, `run_project` goes it."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "init": ("write_project_file",),
        "reading": ("read_project",),
        "run": ("ProjectStepError", "ProjectStopped", "run_project"),
        "settings": ("Project", "ProjectDataset"),
    },
)
