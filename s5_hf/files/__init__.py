"""Files and folders that several rooms write: atomic, one run at a time, a full disk in words."""

from ..lazy_face import lazy_face

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "atomic": (
            *("atomic_file", "atomic_folder", "remove_leftovers"),
            *("require_absent", "temporary_folder", "write_text"),
        ),
        "disk_space": ("free_bytes", "full_disk_in_words", "means_no_room", "tensor_bytes"),
        "json_files": ("read_json_object",),
        "locks": ("LOCK_FILE", "FolderInUseError", "folder_lock"),
        "processes": ("LONGEST_WAIT", "ordered_results", "patient_accelerator", "worker_pool"),
        "yaml_files": ("read_yaml",),
    },
)
