"""Maps of whole scenes: windows blended into files of classes, areas and polygons."""
