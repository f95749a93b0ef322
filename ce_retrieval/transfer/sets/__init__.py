"""Photos with their labels, to train on and to measure: folders, and the sets of PASCAL VOC."""
