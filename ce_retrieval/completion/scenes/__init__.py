"""Scene completion (Hays and Efros 2007): place, cut, rank and blend whole scenes."""
