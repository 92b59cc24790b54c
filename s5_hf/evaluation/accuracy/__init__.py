"""The accuracy of a map: against a reference of a whole area, or from a sample of points with area estimates."""
