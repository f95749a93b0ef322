"""Feature learning: what a pre-trained AlexNet is worth to other tasks (Table 2 of Pathak et al. 2016).

`voc`, `voc_objects` and `voc_measures` need no torch.
"""
