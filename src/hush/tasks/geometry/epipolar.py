"""Fundamental and essential matrices from matches, by several robust estimators, and poses.

x1 and x2 are ``(N, 2)``, in pixels: x2ᵀ F x1 = 0 for homogeneous coordinates. Matches are checked
before an estimator sees them, because some estimators fail, hang or invent a matrix on bad ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hush.errors import HushError, missing_package

METHODS = ("ransac", "lo-ransac", "magsac++", "poselib", "degensac")
THRESHOLD = 1.0  #: pixels, the largest epipolar error of an inlier
CONFIDENCE = 0.999
ITERATIONS = 10_000
#: coordinates up to here, not integers, were divided by the focal length; pixels reach farther
NORMALISED = 3.0
SAMPLE = {"F": 7, "E": 5}  #: different matches that a matrix needs
DEGENSAC = 8  #: what pydegensac needs
FEWEST = 5  #: inliers that a pose needs
LARGEST = 16_384  #: coordinates given to an estimator, of which float32 keeps 0.001

Estimate = tuple[np.ndarray | None, np.ndarray]


def fundamental(
    x1: np.ndarray,
    x2: np.ndarray,
    *,
    method: str = "magsac++",
    threshold: float | None = None,
    confidence: float = CONFIDENCE,
    iterations: int = ITERATIONS,
    seed: int = 0,
    strict: bool = True,
) -> Estimate:
    """The fundamental matrix ``(3, 3)``, of norm 1, and its inliers, bool ``(N,)``.

    threshold : in units of the coordinates, 1 pixel by default. confidence, iterations : when to
    stop. strict : if False, matches that determine no matrix give ``(None, all False)`` instead of
    an error. The matrix is also None if the estimator finds none. Rows that are not finite are
    outliers; repeats of a match count once, and share its answer. One seed gives one answer.

    - ``ransac``, ``lo-ransac``, ``magsac++``: OpenCV's USAC;
    - ``poselib``: LO-RANSAC with a refinement of the robust loss;
    - ``degensac``: LO-RANSAC that allows for a dominant plane (pydegensac).
    """
    x1, x2 = _pairs(x1, x2)
    _known(method)
    limit = _limit(x1, x2, threshold)
    return _robust(x1, x2, "F", method, limit, confidence, iterations, seed, strict)


def essential(
    x1: np.ndarray,
    x2: np.ndarray,
    K1: np.ndarray,
    K2: np.ndarray,
    *,
    method: str = "magsac++",
    threshold: float | None = None,
    confidence: float = CONFIDENCE,
    iterations: int = ITERATIONS,
    seed: int = 0,
    strict: bool = True,
) -> Estimate:
    """The essential matrix ``(3, 3)``, of norm 1, and its inliers, bool ``(N,)``.

    K1, K2 : camera matrices ``(3, 3)``; the identity where coordinates were divided by the focal
    length already, and then `threshold` must be given: pixels over the focal length. All else as in
    `fundamental`; there is no ``degensac``.
    """
    x1, x2 = _pairs(x1, x2)
    _known(method)
    if method == "degensac":
        raise HushError("degensac estimates only F; use poselib or magsac++ for E")
    focal = (_focal(K1) + _focal(K2)) / 2
    limit = _limit(x1, x2, threshold, focal)
    # one focal length for both images, so that a threshold means the same everywhere
    x1, x2 = normalised(x1, K1), normalised(x2, K2)
    return _robust(x1, x2, "E", method, limit / focal, confidence, iterations, seed, strict)


def unfit(
    x1: np.ndarray, x2: np.ndarray, matrix: str = "F", fewest: int | None = None
) -> str | None:
    """A sentence if these matches determine no matrix, "F" or "E", or None.

    fewest : different matches that the estimator needs, by default the minimal set.
    """
    x1, x2 = _pairs(x1, x2)
    matches = _distinct(x1, x2)[0]
    need = fewest or SAMPLE[matrix]
    name = {"F": "fundamental", "E": "essential"}[matrix]
    if len(matches) < need:
        return (
            f"too few matches: the {name} matrix needs {need} different ones, and there are "
            f"{len(matches)}"
        )
    if np.array_equal(matches[:, :2], matches[:, 2:]):
        return "the matches are the same in both images, so the camera did not move"
    for number, image in ((1, matches[:, :2]), (2, matches[:, 2:])):
        if len(np.unique(image, axis=0)) < need:
            return (
                f"too few points in image {number}: the {name} matrix needs {need} different ones"
            )
        if _collinear(image):
            return (
                f"all points in image {number} lie on one line, which determines no {name} matrix"
            )
    return None


def plane_share(
    x1: np.ndarray, x2: np.ndarray, mask: np.ndarray | None = None, threshold: float = 3.0
) -> float:
    """The share of matches on the plane with most of them: near 1, F means little.

    mask : matches that count, bool ``(N,)``, such as an estimator's inliers. threshold : pixels.
    NaN below 4 different matches.
    """
    x1, x2 = _pairs(x1, x2)
    chosen = np.isfinite(x1).all(axis=1) & np.isfinite(x2).all(axis=1)
    if mask is not None:
        chosen &= np.asarray(mask, bool)
    x1, x2 = x1[chosen], x2[chosen]
    if len(_distinct(x1, x2)[0]) < 4:
        return float("nan")
    cv2 = _opencv()
    params = _usac(cv2, "lo-ransac", threshold, CONFIDENCE, 2000, 0)
    _, inliers = cv2.findHomography(x1 - x1.min(axis=0), x2 - x2.min(axis=0), params)
    return 0.0 if inliers is None else float(np.mean(inliers))


def pose(
    matrix: np.ndarray | None,
    x1: np.ndarray,
    x2: np.ndarray,
    K1: np.ndarray,
    K2: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    kind: str = "F",
) -> tuple[np.ndarray, np.ndarray] | None:
    """Rotation ``(3, 3)`` and unit translation ``(3,)`` of camera 2: X2 = R X1 + t.

    matrix : F, or E with ``kind="E"``. Of the four poses that share an essential matrix, OpenCV's
    `recoverPose` takes the one with most inliers in front of both cameras. None without a matrix
    or below 5 inliers.
    """
    x1, x2 = _pairs(x1, x2)
    chosen = np.isfinite(x1).all(axis=1) & np.isfinite(x2).all(axis=1)
    if mask is not None:
        chosen &= np.asarray(mask, bool)
    if matrix is None or chosen.sum() < FEWEST:
        return None
    K1, K2 = np.asarray(K1, np.float64), np.asarray(K2, np.float64)
    E = K2.T @ matrix @ K1 if kind == "F" else np.asarray(matrix, np.float64)
    if not np.isfinite(E).all() or not np.linalg.norm(E):
        return None
    E = E / np.linalg.norm(E)
    first = np.ascontiguousarray(normalised(x1[chosen], K1))
    second = np.ascontiguousarray(normalised(x2[chosen], K2))
    _, R, t, _ = _opencv().recoverPose(E, first, second, np.eye(3))
    return R, t.ravel()


def normalised(x: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Pixels ``(N, 2)`` less the principal point, over the focal length."""
    inverse = np.linalg.inv(np.asarray(K, np.float64))
    with np.errstate(invalid="ignore"):  # rows that are not finite stay so
        rays = x[:, :1] * inverse[:, 0] + x[:, 1:] * inverse[:, 1] + inverse[:, 2]
        result: np.ndarray = rays[:, :2] / rays[:, 2:]
    return result


def looks_normalised(x: np.ndarray) -> bool:
    """Whether coordinates ``(N, 2)`` seem divided by the focal length: all small, not integers."""
    finite = np.asarray(x)[np.isfinite(x).all(axis=1)]
    small = len(finite) > 0 and bool((np.abs(finite) < NORMALISED).all())
    return small and not bool((finite == np.round(finite)).all())


# -- checks ----------------------------------------------------------------------------------


def _pairs(x1: np.ndarray, x2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x1, x2 = np.asarray(x1), np.asarray(x2)
    if x1.ndim != 2 or x1.shape[1] != 2 or x1.shape != x2.shape:
        raise HushError(
            f"matches are two arrays (N, 2), a row a match, not {x1.shape} and {x2.shape}"
        )
    return x1.astype(np.float64), x2.astype(np.float64)


def _known(method: str) -> None:
    if method not in METHODS:
        raise HushError(f"no method {method!r} for two views; choose from {', '.join(METHODS)}")


def _focal(K: np.ndarray) -> float:
    K = np.asarray(K, np.float64)
    if K.shape != (3, 3) or not np.isfinite(K).all() or not np.linalg.det(K):
        raise HushError(f"a camera matrix is an invertible (3, 3) array, not {K.tolist()}")
    return float(abs(K[0, 0] + K[1, 1]) / 2)


def _limit(x1: np.ndarray, x2: np.ndarray, threshold: float | None, focal: float = 0) -> float:
    """The threshold, unless it is one for pixels and the coordinates are not."""
    if threshold is not None and not threshold > 0:
        raise HushError(f"the threshold must be positive, not {threshold:g}")
    small = [looks_normalised(x1), looks_normalised(x2)]
    if small[0] != small[1] and np.isfinite(x1).any() and np.isfinite(x2).any():
        image = 1 if small[0] else 2
        raise HushError(
            f"the coordinates of image {image} seem divided by the focal length and those of the "
            "other in pixels; give both in pixels"
        )
    if all(small) and focal > 10:
        raise HushError(
            "the coordinates seem divided by the focal length already; give pixels, or the "
            f"identity for K1 and K2 and a threshold of about 1/{focal:.0f}"
        )
    if all(small) and (threshold is None or threshold > 0.1):
        raise HushError(
            "the coordinates seem divided by the focal length, so a threshold in pixels means "
            "nothing; give a threshold in their units, such as 1 / focal length, or give pixels"
        )
    return THRESHOLD if threshold is None else threshold


def _distinct(x1: np.ndarray, x2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Different finite matches ``(M, 4)`` in order, and which each row is ``(N,)``, −1 for none."""
    rows = np.concatenate([x1, x2], axis=1)
    finite = np.isfinite(rows).all(axis=1)
    _, first, inverse = np.unique(rows[finite], axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.full(len(rows), -1)
    place[finite] = np.argsort(order)[inverse.ravel()]
    return rows[finite][first[order]], place


def _collinear(x: np.ndarray) -> bool:
    spread = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    return bool(spread[1] <= 1e-7 * spread[0])


# -- estimators ------------------------------------------------------------------------------


def _robust(
    x1: np.ndarray,
    x2: np.ndarray,
    matrix: str,
    method: str,
    limit: float,
    confidence: float,
    iterations: int,
    seed: int,
    strict: bool,
) -> Estimate:
    nothing = np.zeros(len(x1), bool)
    reason = unfit(x1, x2, matrix, DEGENSAC if method == "degensac" else None)
    if reason:
        if strict:
            raise HushError(reason)
        return None, nothing
    matches, place = _distinct(x1, x2)
    # Estimators compute in float32, and OpenCV's MAGSAC++ for pixels: its answers get worse where
    # the threshold is far from 1, or the origin inside the image. So the origin becomes the corner
    # and the threshold about 1, by a power of two, which changes no digit.
    corner = (np.zeros(4) if matrix == "E" else matches.min(axis=0)).reshape(2, 2)
    size = float(np.abs(matches - corner.ravel()).max())
    scale = 2.0 ** min(np.round(-np.log2(limit)), np.floor(np.log2(LARGEST / size)))
    first, second = (matches.reshape(-1, 2, 2) - corner).transpose(1, 0, 2) * scale
    first, second = np.ascontiguousarray(first), np.ascontiguousarray(second)
    estimator = {"poselib": _poselib, "degensac": _degensac}.get(method, _opencv_usac)
    found, inliers = estimator(
        first, second, matrix, method, limit * scale, scale, confidence, iterations, seed
    )
    if found is None or found.shape != (3, 3) or not np.isfinite(found).all():
        return None, nothing
    mask = (place >= 0) & inliers[place]
    undo1, undo2 = (_similarity(offset, scale) for offset in corner)
    if matrix == "F":
        found = undo2.T @ found @ undo1
    norm = np.linalg.norm(found)
    if not norm or not mask.any():
        return None, nothing
    return found / norm, mask


def _similarity(offset: np.ndarray, scale: float) -> np.ndarray:
    """The matrix ``(3, 3)`` of x → scale · (x − offset)."""
    return np.array([[scale, 0, -scale * offset[0]], [0, scale, -scale * offset[1]], [0, 0, 1]])


def _opencv_usac(
    x1: np.ndarray,
    x2: np.ndarray,
    matrix: str,
    method: str,
    limit: float,
    focal: float,
    confidence: float,
    iterations: int,
    seed: int,
) -> Estimate:
    cv2 = _opencv()
    params = _usac(cv2, method, limit, confidence, iterations, seed)
    try:
        if matrix == "F":
            found, inliers = cv2.findFundamentalMat(x1, x2, params)
        else:
            K, none = np.diag([focal, focal, 1.0]), np.zeros(4)
            found, inliers = cv2.findEssentialMat(x1, x2, K, K, none, none, params)
    except cv2.error:  # its local optimisation lost the model: there is none
        return None, np.zeros(len(x1), bool)
    if found is None or inliers is None:
        return None, np.zeros(len(x1), bool)
    return found[:3], inliers.ravel().astype(bool)


def _usac(
    cv2: Any, method: str, limit: float, confidence: float, iterations: int, seed: int
) -> Any:
    params = cv2.UsacParams()
    params.threshold, params.confidence = float(limit), float(confidence)
    params.maxIterations, params.randomGeneratorState = int(iterations), int(seed)
    params.isParallel = False  # threads would make the answer a matter of luck
    params.sampler = cv2.SAMPLING_UNIFORM
    if method == "magsac++":
        params.score, params.loMethod = cv2.SCORE_METHOD_MAGSAC, cv2.LOCAL_OPTIM_SIGMA
        params.final_polisher = cv2.COV_POLISHER
        params.loSampleSize, params.loIterations = 50, 10  # as cv2.USAC_MAGSAC
    elif method == "lo-ransac":
        params.score, params.loMethod = cv2.SCORE_METHOD_MSAC, cv2.LOCAL_OPTIM_INNER_AND_ITER_LO
        params.final_polisher = cv2.LSQ_POLISHER
    else:
        params.score, params.loMethod = cv2.SCORE_METHOD_RANSAC, cv2.LOCAL_OPTIM_NULL
        params.final_polisher = cv2.NONE_POLISHER
    return params


def _poselib(
    x1: np.ndarray,
    x2: np.ndarray,
    matrix: str,
    method: str,
    limit: float,
    focal: float,
    confidence: float,
    iterations: int,
    seed: int,
) -> Estimate:
    try:
        import poselib
    except ImportError as error:
        raise missing_package("PoseLib", "geometry", what="method poselib") from error
    options = {
        "max_epipolar_error": limit,
        "success_prob": confidence,
        "max_iterations": iterations,
        "min_iterations": min(100, iterations),
        "seed": seed,
    }
    if matrix == "F":
        found, info = poselib.estimate_fundamental(x1, x2, options)
    else:
        camera = {"model": "SIMPLE_PINHOLE", "width": 1, "height": 1, "params": [focal, 0.0, 0.0]}
        relative, info = poselib.estimate_relative_pose(x1, x2, camera, camera, options)
        x, y, z = relative.t
        found = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ relative.R
    return np.asarray(found), np.array(info["inliers"], bool)


def _degensac(
    x1: np.ndarray,
    x2: np.ndarray,
    matrix: str,
    method: str,
    limit: float,
    focal: float,
    confidence: float,
    iterations: int,
    seed: int,
) -> Estimate:
    try:
        import pydegensac
    except ImportError as error:
        raise missing_package("pydegensac", "geometry", what="method degensac") from error
    found, inliers = pydegensac.findFundamentalMatrix(
        x1, x2, limit, confidence, iterations, seed=seed
    )
    return np.asarray(found), np.asarray(inliers, bool).ravel()


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise missing_package("OpenCV", "sets", what="epipolar geometry") from error
    return cv2
