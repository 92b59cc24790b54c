"""What several rooms do with pictures: windows, value scaling, palettes, drawing."""
