"""When two photos are the same: two questions, two thresholds.

**The same view** (`SAME_VIEW`, compared by `near_duplicates`): would an evaluation that fills one photo from the other
measure copying? Copies are the same view, and so are two frames of a burst and a view shot again a step aside, since they
show what is under the hole at the same place. The leak guard and `exclude_same_source` leave them out.

**A copy** (`COPY`, compared by `copies`): were both made from one exposure, so that the other brings back what the user
removes? A frame of a burst without the passer-by is the best source there is. From a tripod all that is visible agrees as in a
copy, so what lies under the hole decides as well (`hole_content`).

A photo of the place from another viewpoint or of another hour is neither.

Notes
-----
Correlations of detail that `benchmarks/same_view.py` measured (docs/evaluation.md has the table):

=========================================  ==================================  =====================
pair                                       `near_duplicates`, 64 px            `visible_part`, 128 px
=========================================  ==================================  =====================
copies                                     0.85 and more                       0.93 and more
frames of a burst, views shot again        0.65 and more, and framed alike     any
other viewpoints of one place              0.81 and less, framed otherwise     0.92 and less
other photos                               0.54 and less
=========================================  ==================================  =====================
"""

SAME_VIEW = 0.65  # least correlation of detail of two photos of the same view
# Aligning lays a photo from two steps back on the first, too: then the two are one view if their thumbnails correlate
# before aligning, or their detail as closely as that of a cropped copy.
FRAMED_ALIKE = 0.9
SAME_VIEW_MOVED = 0.85

COPY = 0.93  # least correlation of the visible detail of two copies, once aligned: parallax and wind leave less
