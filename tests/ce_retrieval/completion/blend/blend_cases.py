"""Small holes and random photos for the tests of blends."""

import numpy as np


def drawn(*rows: str) -> np.ndarray:
    return np.array([[mark == "#" for mark in row] for row in rows])


HOLES = {
    "rectangle": drawn("......", ".####.", ".####.", "......"),
    "one pixel": drawn("....", ".#..", "...."),
    "one pixel in a corner": drawn("#...", "....", "...."),
    "parts": drawn("..#...#", "..##...", ".......", "#....##", "##..###"),
    "parts that touch by a corner": drawn(".....", ".##..", "...#.", ".##..", "....."),
    "island": drawn("......", ".####.", ".#..#.", ".####.", "......"),
    "ring at the border": drawn("#####", "#...#", "#.#.#", "#...#", "#####"),
    "corner": drawn("###..", "###..", "##...", "....."),
    "band across": drawn("....", "####", "####", "...."),
    "band at the top": drawn("####", "####", "...."),
    "one known pixel": drawn("####", "##.#", "####"),
    "checkers": drawn("#.#.#", ".#.#.", "#.#.#"),
    "one row": drawn("#.##."),
    "one column": drawn("#", ".", "#", "#"),
}


def random_hole(height: int, width: int, share: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width)) < share


def random_photos(count: int, hole: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, *hole.shape, 3), dtype=np.float32)


def dense_solution(domain, source, photo, *, taken=None, hole=None, mixed=False) -> np.ndarray:
    """Equations 7, 11 and 13 of the paper written out pixel by pixel and solved densely, unclipped.

    taken, hole: those of a composition; by default the domain, as for a blend.
    """
    taken, hole = (domain if mask is None else mask for mask in (taken, hole))
    pixels = [tuple(place) for place in np.argwhere(domain)]
    number = {place: i for i, place in enumerate(pixels)}
    matrix, right = np.zeros((len(pixels), len(pixels))), np.zeros((len(pixels), 3))
    for i, (row, col) in enumerate(pixels):
        for near in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            if not (0 <= near[0] < domain.shape[0] and 0 <= near[1] < domain.shape[1]):
                continue
            of_source = source[row, col].astype(float) - source[near]
            of_photo = photo[row, col].astype(float) - photo[near]
            guidance = of_source if taken[row, col] or taken[near] else of_photo
            if mixed and (taken[row, col] or taken[near]) and not (hole[row, col] or hole[near]):
                guidance = np.where(abs(of_photo) > abs(of_source), of_photo, of_source)
            matrix[i, i] += 1
            right[i] += guidance
            if near in number:
                matrix[i, number[near]] -= 1
            else:
                right[i] += photo[near]
    result = photo.astype(float)
    result[domain] = np.linalg.solve(matrix, right)
    return result
