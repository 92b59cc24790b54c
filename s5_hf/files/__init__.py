"""Files and folders that several rooms write: atomic, one run at a time, a full disk in words."""
