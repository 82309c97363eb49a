"""MultiBoxLoss: what SSD (Liu et al., 2016) is trained with. Locations of matched boxes, scores of those and of the
backgrounds that are taken for objects most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses

from demitasse.layers.layertype import text
from demitasse.message import Message
from demitasse.runtime.boxes import Boxes, decode, encode
from demitasse.runtime.detection import code_type, prior_boxes
from demitasse.runtime.distance_loss import huber
from demitasse.runtime.gradient import passed_by
from demitasse.runtime.matching import Match, Mining, Truth, match, mine, truths
from demitasse.runtime.normalization import mode, normalizer
from demitasse.runtime.operation import Call

__all__ = ["multibox_loss"]

Array = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """The layer's options, and its prior boxes. ``sets`` of locations: 1, or one for each class; ``code``: how they
    are written, ``scaled`` if variances are in them already."""

    param: Message
    priors: Boxes
    variances: Boxes
    classes: int
    sets: int
    background: int
    code: str
    mining: Mining

    @property
    def scaled(self) -> bool:
        """Whether variances are in the locations already."""
        return self.param.flag("encode_variance_in_target")

    def decode(self, places: Boxes) -> Boxes:
        """Boxes that predictions mean."""
        return decode(places, self.priors, self.variances, self.code, self.scaled)

    def is_kind(self, name: str, *spellings: str, default: str) -> bool:
        """Whether an enum of the layer has one of these names or numbers."""
        return self.param.string(name, default) in spellings


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """What is learnt from, one array for each image and set of locations: places (image, prior, set) and the codes
    they should have, and scores (image, prior) and their labels."""

    places: list[Indices] = field(default_factory=list)
    codes: list[Array] = field(default_factory=list)
    fixed: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    scores: list[Indices] = field(default_factory=list)
    labels: list[Indices] = field(default_factory=list)

    @property
    def matches(self) -> int:
        """Number of places."""
        return sum(len(rows) for rows in self.places)


def multibox_loss(call: Call) -> torch.Tensor:
    """One number: the loss of locations times ``loc_weight``, and that of scores, over the number of matches."""
    setting = setting_of(call)
    images, priors = call.x.shape[0], len(setting.priors)
    places = call.x.reshape(images, priors, setting.sets, 4)
    scores = call.inputs[1].reshape(images, priors, setting.classes)
    true = truths(call.inputs[3].detach().reshape(-1, 8).cpu().numpy(), setting.param.flag("use_difficult_gt", True))
    now = places.detach().cpu().numpy()
    rated = score_losses_now(scores.detach(), setting)
    examples = Examples()
    for image in sorted(set(true) & set(range(images))):
        check_labels(call, true[image], setting)
        for k, found in matches(true[image], now[image], setting).items():
            collect(examples, setting, (image, k), true[image], found, now[image, :, k], rated[image])
    divisor = normalizer(call, mode(call, "VALID"), images, priors, examples.matches)
    weight = setting.param.number("loc_weight", 1.0)
    return (location_loss(places, examples, setting) * weight + score_loss(scores, examples, setting)) / divisor


def setting_of(call: Call) -> Setting:
    """Options read and checked. NetError for what Caffe refuses."""
    param = call.layer.message.message("multibox_loss_param")
    priors, variances = prior_boxes(call, 2)
    classes, background = param.integer("num_classes"), param.integer("background_label_id", 0)
    if classes < 1:
        call.placed.refuse("num_classes has to be at least 1")
    sets = 1 if param.flag("share_location", True) else classes
    for which, each in ((0, sets * 4), (1, classes)):
        shape = call.placed.inputs[which]
        if call.inputs[which].numel() != call.x.shape[0] * len(priors) * each:
            call.placed.refuse(
                f'"{call.placed.name(which)}" is {text(shape)};'
                f" {len(priors)} prior boxes need {len(priors) * each} a row"
            )
    kinds = {"0": "NONE", "1": "MAX_NEGATIVE", "2": "HARD_EXAMPLE"}
    kind = kinds.get(given := param.string("mining_type", "MAX_NEGATIVE"), given)
    if "do_neg_mining" in param and param.flag("do_neg_mining") != (kind != "NONE"):
        call.placed.refuse(f"do_neg_mining contradicts mining_type {kind}; drop it")
    if kind not in kinds.values():
        call.placed.refuse(f"mining_type is {kind}; it must be one of {', '.join(kinds.values())}")
    if kind != "NONE" and sets > 1:
        call.placed.refuse("mining needs share_location")
    nms = param.message("nms_param")
    threshold = nms.number("nms_threshold", 0.3) if "nms_param" in param else 0.0
    mining = Mining(
        kind,
        param.number("neg_pos_ratio", 3.0),
        param.number("neg_overlap", 0.5),
        param.integer("sample_size", 64),
        threshold,
        nms.integer("top_k", -1),
    )
    return Setting(param, priors, variances, classes, sets, background, code_type(call, param), mining)


def check_labels(call: Call, truth: Truth, setting: Setting) -> None:
    """NetError for a true box of the background, or of no class."""
    if setting.param.flag("map_object_to_agnostic"):
        return
    wrong = (truth.labels < 0) | (truth.labels >= setting.classes) | (truth.labels == setting.background)
    if wrong.any():
        call.placed.refuse(f'"{call.placed.name(3)}" holds a box of label {truth.labels[wrong][0]}, which is no object')


def matches(truth: Truth, places: Array, setting: Setting) -> Mapping[int, Match]:
    """Matches of one image, for each set of locations that is no background's."""
    per_prediction = setting.is_kind("match_type", "PER_PREDICTION", "1", default="PER_PREDICTION")
    threshold = setting.param.number("overlap_threshold", 0.5) if per_prediction else None
    inside = setting.param.flag("ignore_cross_boundary_bbox")
    labels = [k for k in range(setting.sets) if setting.sets == 1 or k != setting.background]
    if setting.param.flag("use_prior_for_matching", True):
        found = match(truth.boxes, setting.priors, threshold, inside)
        if setting.sets == 1:
            return {0: found}
        own = np.append(truth.labels, [-1, -1])  # for IGNORED and UNMATCHED, which count from the end
        return {k: Match(np.where(own[found.indices] == k, found.indices, -1), found.overlaps) for k in labels}
    result = {}
    for k in labels:
        chosen = np.arange(len(truth.labels)) if setting.sets == 1 else np.flatnonzero(truth.labels == k)
        found = match(truth.boxes[chosen], setting.decode(places[:, k]), threshold, inside)
        back = np.append(chosen, [-2, -1])
        result[k] = Match(back[found.indices], found.overlaps)
    return result


def collect(
    examples: Examples,
    setting: Setting,
    where: tuple[int, int],
    truth: Truth,
    found: Match,
    places: Array,
    rated: Array,
) -> None:
    """Adds what is learnt from one image and set of locations: the matches, and the mined backgrounds.

    ``rated``: the loss of each prior's scores for each class it might be.
    """
    background = np.zeros(0, np.int64)
    if setting.mining.kind != "NONE":
        losses = rated[np.arange(len(rated)), label_of(found, truth, setting, agnostic=False)]
        if setting.mining.kind == "HARD_EXAMPLE":
            losses = losses + location_losses_now(found, truth, places, setting)
        by_prior = setting.param.flag("use_prior_for_nms") or setting.mining.threshold <= 0
        found, background = mine(found, losses, setting.priors if by_prior else setting.decode(places), setting.mining)
    image, k = where
    at = found.positive
    examples.places.append(np.stack((np.full(len(at), image), at, np.full(len(at), k)), 1))
    examples.codes.append(codes_of(found, truth, setting))
    examples.fixed.append(outside(places[at], at, setting))
    labels = label_of(found, truth, setting, agnostic=setting.param.flag("map_object_to_agnostic"))
    for rows in (at, background):
        examples.scores.append(np.stack((np.full(len(rows), image), rows), 1))
        examples.labels.append(labels[rows])


def label_of(found: Match, truth: Truth, setting: Setting, *, agnostic: bool) -> Indices:
    """The class that every prior should have."""
    labels = np.full_like(truth.labels, setting.background + 1) if agnostic else truth.labels
    return np.append(labels, [setting.background] * 2)[found.indices]


def codes_of(found: Match, truth: Truth, setting: Setting) -> Array:
    """What the matched locations should be."""
    at = found.positive
    codes = encode(
        truth.boxes[found.indices[at]], setting.priors[at], setting.variances[at], setting.code, setting.scaled
    )
    return codes / setting.variances[at] if setting.scaled else codes


def outside(places: Boxes, at: Indices, setting: Setting) -> npt.NDArray[np.bool_]:
    """Numbers that teach nothing, with ``bp_inside``: of box sides that lie outside of the picture."""
    if not setting.param.flag("bp_inside"):
        return np.zeros((len(at), 4), bool)
    boxes = setting.priors[at]
    if not setting.param.flag("use_prior_for_matching", True):
        boxes = decode(places, boxes, setting.variances[at], setting.code, setting.scaled)
    return (boxes < 0) | (boxes > 1)


def location_losses_now(found: Match, truth: Truth, places: Boxes, setting: Setting) -> Array:
    """Loss of each prior's location; 0 of those without a match."""
    losses, at = np.zeros(len(places), np.float32), found.positive
    now = places[at] / setting.variances[at] if setting.scaled else places[at]
    apart = torch.from_numpy(now - codes_of(found, truth, setting))
    losses[at] = elementwise_loss(apart, setting).sum(1).numpy()
    return losses


def elementwise_loss(apart: torch.Tensor, setting: Setting) -> torch.Tensor:
    """SMOOTH_L1 or L2 of differences."""
    squared = setting.is_kind("loc_loss_type", "L2", "0", default="SMOOTH_L1")
    return 0.5 * apart * apart if squared else huber(apart, 1.0)


def location_loss(places: torch.Tensor, examples: Examples, setting: Setting) -> torch.Tensor:
    """Sum over the matches. Division by variances is passed by on the way back, as Caffe has it."""
    if not examples.matches:
        return places.new_zeros(())
    index = torch.from_numpy(np.concatenate(examples.places)).to(places.device)
    wanted = torch.from_numpy(np.concatenate(examples.codes)).to(places)
    fixed = torch.from_numpy(np.concatenate(examples.fixed)).to(places.device)
    chosen = places[index[:, 0], index[:, 1], index[:, 2]]
    if setting.scaled:
        variances = torch.from_numpy(setting.variances).to(places)[index[:, 1]]
        chosen = passed_by(chosen, chosen.detach() / variances)
    return elementwise_loss(torch.where(fixed, wanted, chosen) - wanted, setting).sum()


def is_logistic(setting: Setting) -> bool:
    """Whether every class is asked for by itself, rather than one of all."""
    return setting.is_kind("conf_loss_type", "LOGISTIC", "1", default="SOFTMAX")


def score_losses_now(scores: torch.Tensor, setting: Setting) -> Array:
    """Loss of each image's priors, for each class that they might be."""
    if is_logistic(setting):
        off, on = F.softplus(scores), F.softplus(-scores)
        losses = off.sum(-1, keepdim=True) - off + on
    else:
        losses = -torch.log_softmax(scores, -1).clamp_min(float(np.log(np.finfo(np.float32).tiny)))
    return losses.cpu().numpy()


def score_loss(scores: torch.Tensor, examples: Examples, setting: Setting) -> torch.Tensor:
    """Sum over matches and mined backgrounds; without mining over everything."""
    index = torch.from_numpy(np.concatenate([np.zeros((0, 2), np.int64), *examples.scores])).to(scores.device)
    labels = torch.from_numpy(np.concatenate([np.zeros(0, np.int64), *examples.labels])).to(scores.device)
    if setting.mining.kind == "NONE":
        every = torch.full(scores.shape[:2], setting.background, device=scores.device)
        every[index[:, 0], index[:, 1]] = labels
        chosen, labels = scores.reshape(-1, setting.classes), every.reshape(-1)
    else:
        chosen = scores[index[:, 0], index[:, 1]]
    if is_logistic(setting):
        targets = F.one_hot(labels, setting.classes).to(chosen)
        return F.binary_cross_entropy_with_logits(chosen, targets, reduction="sum")
    return F.cross_entropy(chosen, labels, reduction="sum")
