"""When two photos are the same: two questions, two thresholds.

**The same view** (`SAME_VIEW`, compared by `near_duplicates`): would an evaluation that fills one photo from the other
measure copying? Copies are the same view. So are two frames of a burst and a view shot again from beside, which show at the
same place what is under the hole. The leak guard and `exclude_same_source` leave them out.

**A copy** (`COPY`, compared by `visible_part` for `copies`): were both made from one exposure, so that the other brings back
what the user removes? A frame of a burst without the passer-by is the best source there is. From a tripod all that is visible
agrees as in a copy, so what both show under the hole decides as well (`hole_content`). Where the hole was painted before,
nothing tells, and the frame counts as a copy.

A photo of the place from another viewpoint or of another hour is neither.

Notes
-----
Correlations of detail that `near_duplicates` measures at 64 px. docs/evaluation.md has more of them, and
benchmarks/results/same_view.md counts what the thresholds make of the pairs.

============================================  ==========  ============  ==========================
pair                                          as it lies  aligned       thumbnails, as they lie
============================================  ==========  ============  ==========================
copies cropped by 4 % a side                  0.42–0.77   0.98 or more  0.71 or more
the same, brightened, as JPEG of quality 20   0.42–0.77   0.85 or more  0.71 or more
views shot again, found when aligned          0.06–0.57   0.71–0.99     0.95–0.98
stereo pair with a small baseline             0.29        0.87          0.86
portal, and again from some steps back        0.52        0.73, 0.81    0.83
============================================  ==========  ============  ==========================
"""

SAME_VIEW = 0.65  # least correlation of detail of two photos of the same view
# Aligning lays a photo from two steps back on the first, too. So aligned detail counts only where one of these holds:
HAND = 2.0  # no corner moved by more px of 64: a hand that holds the camera still (8 px of 481 and 0.8 degrees: 1.7)
FRAMED_ALIKE = 0.9  # the thumbnails correlate before aligning: the same frame, in which waves or people moved
SAME_VIEW_MOVED = 0.85  # the detail agrees as that of a cropped copy

COPY = 0.93  # least correlation of the visible detail of two copies, once aligned: parallax and wind leave less
