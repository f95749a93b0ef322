"""Feature learning: what a pre-trained AlexNet is worth to other tasks (Table 2 of Pathak et al. 2016).

`voc`, `voc_objects`, `voc_measures`, `settings`, `labelled` and `results` need no torch.
"""
