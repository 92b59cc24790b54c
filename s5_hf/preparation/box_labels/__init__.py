"""Labels of oriented boxes from one format to another."""
