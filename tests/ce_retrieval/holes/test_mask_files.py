import numpy as np
import pytest
from PIL import Image, ImageOps
from scipy import ndimage

from ce_retrieval.errors import MaskError
from ce_retrieval.holes import files
from ce_retrieval.holes.files import holes_from_folder, load_shapes, polarity_hint, read_mask
from ce_retrieval.holes.strategies import holes_for
from ce_retrieval.photos import load_photo

SHAPE = (60, 80)


@pytest.fixture
def hole():
    hole = np.zeros(SHAPE, bool)
    hole[10:30, 20:65] = True
    hole[25:50, 5:25] = True
    return hole


@pytest.fixture
def save(tmp_path):
    def write(pixels, name="mask.png", mode=None, **options):
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels))
        (image if mode is None else image.convert(mode)).save(tmp_path / name, **options)
        return tmp_path / name

    return write


def grey(hole):
    return np.where(hole, 255, 0).astype(np.uint8)


def one_line(error):
    text = str(error.value)
    assert "\n" not in text and len(text) < 400
    return text


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P"])
def test_every_mode_of_black_and_white(hole, save, mode):
    path = save(grey(hole), mode=mode)
    assert (read_mask(path, SHAPE) == hole).all()
    assert (read_mask(path, SHAPE, invert=True) == ~hole).all()
    assert (read_mask(str(path), None) == hole).all()


def test_deep_masks(hole, save):
    for name, pixels in (
        ("a.png", hole.astype(np.uint16) * 65535),
        ("b.tif", hole.astype(np.float32)),
        ("c.tif", hole.astype(np.float32) * 255),
    ):
        assert (read_mask(save(pixels, name), SHAPE) == hole).all()


def test_threshold_is_128(save):
    values = np.zeros((100, 100), np.uint8)
    values[50:] = 255
    values[0, :2] = 127, 128
    assert read_mask(save(values), (100, 100))[0, :3].tolist() == [False, True, False]


@pytest.mark.parametrize("quality", [30, 90])
def test_jpeg_ringing_is_allowed(hole, save, quality):
    read = read_mask(save(grey(hole), "mask.jpg", mode="RGB", quality=quality), SHAPE)
    edge = ndimage.binary_dilation(hole, iterations=2) & ~ndimage.binary_erosion(hole, iterations=2)
    assert (read == hole)[~edge].all()


def test_alpha(hole, save):
    pixels = np.random.default_rng(0).integers(0, 256, (*SHAPE, 4), dtype=np.uint8)
    pixels[..., 3] = grey(~hole)
    path = save(pixels)
    assert (read_mask(path, SHAPE, alpha=True) == hole).all()
    assert (read_mask(path, SHAPE, alpha=True, invert=True) == ~hole).all()
    with pytest.raises(MaskError, match=r"colour.*set `alpha`"):
        read_mask(path, SHAPE)


@pytest.mark.parametrize("kind", ["png", "webp", "tif"])
def test_a_pixel_that_is_transparent_even_in_part_is_hole(hole, save, kind):
    """Its colour is mixed with what was there before: it would leave a halo."""
    pixels = np.zeros((*SHAPE, 4), np.uint8)
    soft = ndimage.gaussian_filter(grey(~hole).astype(float), 1.5).round()
    pixels[..., 3] = soft
    path = save(pixels, f"soft.{kind}", **({"lossless": True} if kind == "webp" else {}))
    assert (read_mask(path, SHAPE, alpha=True) == (soft < 255)).all() and ((soft > 0) & (soft < 255)).mean() > 0.05
    assert (read_mask(path, SHAPE, alpha=True, invert=True) == (soft > 0)).all()


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_mask_in_alpha_alone_names_the_option(hole, save, level):
    pixels = np.full((*SHAPE, 4), level, np.uint8)
    pixels[..., 3] = grey(~hole)
    with pytest.raises(MaskError, match="set `alpha`") as error:
        read_mask(save(pixels), SHAPE)
    assert "mask.png" in one_line(error)


def test_alpha_asked_of_a_file_without(hole, save):
    with pytest.raises(MaskError, match=r"no alpha channel.*leave out `alpha`") as error:
        read_mask(save(grey(hole)), SHAPE, alpha=True)
    one_line(error)
    with pytest.raises(MaskError, match=r"marks nothing.*leave out `alpha`") as error:
        read_mask(save(grey(hole), mode="RGBA"), SHAPE, alpha=True)
    one_line(error)


def test_gif_transparency_is_alpha(hole, save):
    image = Image.fromarray(hole.astype(np.uint8))
    image.putpalette([200, 30, 30, 10, 10, 10])
    path = save(image, "mask.gif", transparency=1)
    assert (read_mask(path, SHAPE, alpha=True) == hole).all()


def test_another_size_gives_both(hole, save):
    with pytest.raises(MaskError, match=r"80x60.*640x480.*not resized") as error:
        read_mask(save(grey(hole)), (480, 640))
    one_line(error)


def test_exif_orientation_is_applied(hole, save):
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    path = save(grey(hole), exif=exif)
    assert (read_mask(path, SHAPE[::-1]) == np.rot90(hole, -1)).all()
    with pytest.raises(MaskError, match="60x80"):
        read_mask(path, SHAPE)


TURNS = {
    5: "mirror the mask along its main diagonal",
    6: "turn the mask by 90 degrees clockwise",
    7: "mirror the mask along its other diagonal",
    8: "turn the mask by 90 degrees counterclockwise",
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_of_the_unturned_photo(hole, save, tmp_path, orientation):
    """What the error says makes the mask fit."""
    stored = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "photo.jpg", exif=exif)
    shape = load_photo(tmp_path / "photo.jpg").pixels.shape[:2]
    path = save(grey(hole))
    if orientation < 5:
        assert (read_mask(path, shape, photo=tmp_path / "photo.jpg") == hole).all()
        return
    with pytest.raises(
        MaskError, match=f"EXIF orientation turns it, .* unturned photo; {TURNS[orientation]}$"
    ) as error:
        read_mask(path, shape, photo=tmp_path / "photo.jpg")
    one_line(error)
    with pytest.raises(MaskError, match="save the mask at the photo's size"):
        read_mask(save(grey(hole)[:-1]), shape, photo=tmp_path / "photo.jpg")
    turned = {5: hole.T, 6: np.rot90(hole, -1), 7: np.rot90(hole.T, 2), 8: np.rot90(hole)}[orientation]
    path = save(grey(np.ascontiguousarray(turned)))
    assert (read_mask(path, shape, photo=tmp_path / "photo.jpg") == turned).all()
    with Image.open(save(grey(hole), "stored.png", exif=exif)) as stored_mask:
        np.testing.assert_array_equal(np.asarray(ImageOps.exif_transpose(stored_mask)) > 0, turned)


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("invert", [False, True])
def test_empty_and_full(save, level, invert):
    full = (level == 255) != invert
    with pytest.raises(MaskError, match="covers the whole photo" if full else "marks nothing") as error:
        read_mask(save(np.full(SHAPE, level, np.uint8)), SHAPE, invert=invert)
    assert "`alpha`" not in one_line(error) and "draw the hole" in str(error.value)


def test_labels_for_levels_are_explained(hole, save):
    with pytest.raises(MaskError, match=r"values are 0 to 1 of 255") as error:
        read_mask(save(hole.astype(np.uint8)), SHAPE)
    one_line(error)


def test_photos_are_refused(bundled_photos, save):
    photo = bundled_photos[1]
    with pytest.raises(MaskError, match="colour picture") as error:
        read_mask(save(photo), photo.shape[:2])
    one_line(error)
    with pytest.raises(MaskError, match="not two-valued: only") as error:
        read_mask(save(photo[..., 0]), photo.shape[:2])
    one_line(error)


def test_two_per_cent_may_be_grey_and_no_more(save):
    values = np.zeros((100, 100), np.uint8)
    values[60:] = 255
    values[0], values[1] = 100, 100
    assert read_mask(save(values), (100, 100)).sum() == 4000
    values[2, 0] = 100
    with pytest.raises(MaskError, match="98 %"):
        read_mask(save(values), (100, 100))


def test_unreadable_files(tmp_path, hole, save):
    text = tmp_path / "text.png"
    text.write_text("not an image")
    empty = tmp_path / "empty.png"
    empty.touch()
    noise = np.random.default_rng(0).integers(0, 2, (300, 300), dtype=np.uint8) * 255
    whole = save(noise, "whole.png").read_bytes()
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole[: len(whole) // 2])
    for path, reason in (
        (text, r"\(it is not an image\)"),
        (empty, r"\(the file is empty\)"),
        (cut, "cannot be read as an image"),
        (tmp_path, "is a folder: give a PNG"),
    ):
        with pytest.raises(MaskError, match=reason) as error:
            read_mask(path, (300, 300))
        assert str(path) in one_line(error)
    with pytest.raises(MaskError, match="does not exist"):
        read_mask(tmp_path / "none.png", SHAPE)


def test_a_giant_is_refused_by_its_header(save, monkeypatch):
    path = save(np.zeros((200, 200), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
    for shape in (SHAPE, None):  # a warning of Pillow's is an error of ours
        with pytest.raises(MaskError, match=r"mask\.png"):
            read_mask(path, shape)


def test_polarity_hint(hole):
    assert polarity_hint(hole) == ""
    assert "`invert`" in polarity_hint(~hole) and "71 %" in polarity_hint(~hole)


def test_dark_hole_jpegs(shared_data):
    paths = sorted((shared_data / "photos" / "hays_efros").glob("input?_mask.jpg"))
    assert paths
    for path in paths:
        with Image.open(path.with_name(path.name.replace("_mask", ""))) as photo:
            shape = photo.size[::-1]
        drawn = read_mask(path, shape, invert=True)
        assert drawn.shape == shape and 0.1 < drawn.mean() < 0.4 and polarity_hint(drawn) == ""
        assert "`invert`" in polarity_hint(read_mask(path, shape))


def test_irregular_masks_lie_in_their_area_bucket(shared_data):
    paths = sorted((shared_data / "irregular_masks").iterdir())[::12]
    assert paths
    for path in paths:
        low, high = (int(end) for end in path.name.split("_")[0].split("-"))
        assert low - 0.5 <= 100 * read_mask(path, (512, 512)).mean() <= high + 0.5


def test_folder_of_masks(tmp_path, save):
    made = {}
    for index in range(6):
        mask = np.zeros((40, 30), bool)
        mask[index * 6 : index * 6 + 4, index : index + 9] = True
        save(grey(mask), f"m{index}.png")
        made[index] = mask
    (tmp_path / "notes.txt").write_text("not a mask")
    (tmp_path / ".hidden.png").write_text("not a mask")
    ids = [f"{i}.jpg" for i in range(200)]
    holes = holes_from_folder(tmp_path, 3, ids, 40)
    wanted = {
        np.stack([[mask[i, int(j * 0.75) : -int(-(j + 1) * 0.75 // 1)].any() for j in range(40)] for i in range(40)])
        .astype(bool)
        .tobytes()
        for mask in made.values()
    }
    assert {hole.tobytes() for hole in holes} == wanted  # all six are used, and nothing else
    alone = np.concatenate([holes_from_folder(tmp_path, 3, [i], 40) for i in ids[::20]])
    assert (alone == holes[::20]).all()
    assert (holes != holes_from_folder(tmp_path, 4, ids, 40)).any()


def test_folder_errors(tmp_path, save):
    with pytest.raises(MaskError, match="does not exist"):
        holes_from_folder(tmp_path / "none", 0, ["a"], 8)
    with pytest.raises(MaskError, match="holds no mask"):
        holes_from_folder(tmp_path, 0, ["a"], 8)
    comb = np.zeros((64, 64), np.uint8)
    comb[::2] = 255
    save(comb)
    with pytest.raises(MaskError, match="nothing visible at 8x8"):
        holes_from_folder(tmp_path, 0, ["a"], 8)


def palette(classes):
    image = Image.fromarray(np.asarray(classes, np.uint8))
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
    return image


def test_shapes_are_the_connected_pieces_of_each_class(tmp_path, save, monkeypatch):
    classes = np.zeros((50, 70), np.uint8)
    classes[5:15, 5:25] = 3
    classes[5:15, 25:30] = 20  # touches class 3, is another shape
    classes[30:45, 10:20] = 3  # the same class again
    classes[29, 9:21] = classes[45, 9:21] = 255
    classes[40:48, 60:68] = 21  # no object class
    classes[0, 0] = 7  # too small
    diagonal = np.eye(12, dtype=np.uint8) * 9  # one piece by 8 neighbours, of 12 pixels
    classes[20:32, 40:52] = diagonal
    save(palette(classes), "a.png")
    save(palette(np.pad(np.full((6, 4), 5), 3)), "b.png")
    monkeypatch.setattr(files, "MIN_SHAPE_SHARE", 12 / classes.size)
    found = load_shapes(tmp_path)
    assert [shape.shape for shape in found] == [(10, 20), (15, 10), (12, 12), (10, 5), (6, 4)]
    assert all(shape.dtype == bool for shape in found)
    assert [int(shape.sum()) for shape in found] == [200, 150, 12, 50, 24]
    assert holes_for("region", 0, [*"abcde"], 32, found).any((1, 2)).all()
    monkeypatch.setattr(files, "MIN_SHAPE_SHARE", 0.02)
    assert len(load_shapes(tmp_path)) == 3


def test_shape_errors(tmp_path, save):
    save(np.zeros((8, 8, 3), np.uint8), "rgb.png")
    with pytest.raises(MaskError, match=r"rgb.png is a RGB image: expected a palette"):
        load_shapes(tmp_path)
    save(np.full((8, 8), 255, np.uint8), "rgb.png")
    with pytest.raises(MaskError, match="holds no object"):
        load_shapes(tmp_path)


def test_real_shapes(shared_data, tmp_path):
    for path in sorted((shared_data / "shapes").iterdir())[:40]:
        (tmp_path / path.name).symlink_to(path)
    shapes = load_shapes(tmp_path)
    assert len(shapes) >= 40
    for shape in shapes:
        assert shape[0].any() and shape[-1].any() and shape[:, 0].any() and shape[:, -1].any()
    share = holes_for("region", 0, [f"{i}.jpg" for i in range(200)], 128, shapes).mean((1, 2))
    assert share.min() >= 0.05 and share.max() <= 0.25
