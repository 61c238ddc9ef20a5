"""Networks as scikit-learn estimators; needs scikit-learn (pip install 'fastconv[sklearn]')."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import (
        check_is_fitted,
        check_random_state,
        column_or_1d,
        validate_data,
    )
except ImportError as error:
    raise ImportError(
        f"fastconv.estimators needs scikit-learn 1.6 or newer (pip install 'fastconv[sklearn]'): "
        f"{error}"
    ) from None

from fastconv import nn, ops, optim, random
from fastconv.autograd.engine import no_grad
from fastconv.autograd.tensor import Tensor
from fastconv.data import ArrayDataset, DataLoader
from fastconv.optim.lr_scheduler import CosineAnnealingLR
from fastconv.train.callbacks import Schedule
from fastconv.train.trainer import Trainer

_PREDICTED_AT_ONCE = 500


def default_module(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A small network for samples of this shape: (features,) or (C, H, W).

    Features go through one hidden layer of 64; images through 3x3 convolutions to 16 and 32
    channels, each followed by 2x2 max pooling where there is something to pool.
    """
    if len(input_shape) == 1:
        return nn.Sequential(nn.Linear(input_shape[0], 64), nn.ReLU(), nn.Linear(64, outputs))
    channels, height, width = input_shape
    layers: list[nn.Module] = []
    for wider in (16, 32):
        layers += [nn.Conv2d(channels, wider, 3, padding=1), nn.ReLU()]
        channels = wider
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * width, outputs))


class _ConvNet(BaseEstimator):
    """What classifier and regressor share: parameters, input and the fit itself."""

    def __init__(
        self,
        module: nn.Module | Callable[[tuple[int, ...], int], nn.Module] = default_module,
        *,
        optimizer: str | Callable[..., Any] = "Adam",
        lr: float = 5e-3,
        weight_decay: float = 0.0,
        epochs: int = 20,
        batch_size: int = 32,
        random_state: Any = None,
    ) -> None:
        self.module = module
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.random_state = random_state

    def _validated(self, X: Any, reset: bool, **labels: Any) -> Any:
        """X, or X and y, as scikit-learn checks them; X is (N, features) or (N, C, H, W)."""
        kinds = {"dtype": (np.float64, np.float32), "allow_nd": True, "order": "C"}
        checked = validate_data(self, X, reset=reset, **kinds, **labels)
        images = checked[0] if labels else checked
        name = type(self).__name__
        if images.ndim not in (2, 4):
            raise ValueError(
                f"{name}: expected X (N, features) or (N, C, H, W), found {images.ndim} dimensions"
            )
        if not reset and images.shape[1:] != self.input_shape_:
            raise ValueError(
                f"{name}: samples of shape {images.shape[1:]}, but it was fitted to "
                f"{self.input_shape_}"
            )
        return checked

    def _fit(self, X: np.ndarray, target: np.ndarray, outputs: int, loss: nn.Module) -> None:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self.input_shape_ = X.shape[1:]
        before = random.get_state()  # fitting leaves the caller's random numbers alone
        random.manual_seed(seed)
        try:
            self.module_ = self._build(outputs).to(X.dtype)
            loader = DataLoader(
                ArrayDataset(X, target), self.batch_size, shuffle=True, seed=seed, prefetch=0
            )
            optimizer = self._optimizer(self.module_.parameters())
            steps = max(1, self.epochs * len(loader))
            schedule = Schedule(CosineAnnealingLR(optimizer, steps))
            trainer = Trainer(
                self.module_, optimizer, loss, callbacks=[schedule], memory_format=None
            )
            self.history_ = trainer.fit(loader, epochs=self.epochs)
        finally:
            random.set_state(before)

    def _build(self, outputs: int) -> nn.Module:
        if isinstance(self.module, nn.Module):
            return copy.deepcopy(self.module)
        return self.module(self.input_shape_, outputs)

    def _optimizer(self, parameters: Any) -> Any:
        options = {"lr": self.lr, "weight_decay": self.weight_decay}
        if not isinstance(self.optimizer, str):
            return self.optimizer(parameters, **options)
        known = {name.lower(): name for name in optim.__all__ if name[0].isupper()}
        if self.optimizer.lower() not in known:
            raise ValueError(
                f"{type(self).__name__}: optimizer must be one of fastconv.optim or a function, "
                f"got {self.optimizer!r}"
            )
        return getattr(optim, known[self.optimizer.lower()])(parameters, **options)

    def _outputs(self, X: Any) -> np.ndarray:
        """The network's outputs (N, outputs)."""
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        kind = next(self.module_.parameters()).dtype
        self.module_.eval()
        with no_grad():
            parts = [
                self.module_(Tensor(X[start : start + _PREDICTED_AT_ONCE].astype(kind))).data
                for start in range(0, len(X), _PREDICTED_AT_ONCE)
            ]
        return np.concatenate(parts)


class ConvNetClassifier(ClassifierMixin, _ConvNet):
    """A network fitted by cross-entropy, as a scikit-learn classifier.

    X: (N, features), or images (N, C, H, W). It computes in the type of the X that it is fitted
    to, float32 or float64 (of other types float64). Scale features beforehand, with a `Pipeline`.

    module: a function (input_shape, outputs) -> Module, called when fitted, or a Module, of which
    a copy goes on from its own weights. optimizer: a name in `fastconv.optim` or a function
    (parameters, lr, weight_decay) -> optimizer. lr: the highest learning rate, which falls to 0 as
    a half cosine. random_state: decides weights, order and dropout.

    Fitted: `classes_`, `module_`, `input_shape_`, `n_features_in_` (of images the channels) and
    `history_`, the trainer's.
    """

    def fit(self, X: Any, y: Any) -> ConvNetClassifier:
        """Fit to labels y (N,) of any kind that NumPy sorts."""
        X, y = self._validated(X, reset=True, y=y)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, target = np.unique(y, return_inverse=True)
        self._fit(X, target.astype(np.int64), len(self.classes_), nn.CrossEntropyLoss())
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (N, classes), in the order of `classes_`."""
        return ops.softmax(self._outputs(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each sample (N,)."""
        probable = self.predict_proba(X).argmax(1)
        return self.classes_[probable]


class ConvNetRegressor(RegressorMixin, _ConvNet):
    """A network fitted by the mean squared error, as a scikit-learn regressor.

    Parameters and attributes are `ConvNetClassifier`'s, without `classes_`. It fits targets
    of mean 0 and deviation 1, which predictions are scaled back from (`y_mean_`, `y_scale_`).
    """

    def fit(self, X: Any, y: Any) -> ConvNetRegressor:
        """Fit to y (N,) or (N, outputs)."""
        X, y = self._validated(X, reset=True, y=y, multi_output=True, y_numeric=True)
        self._single = y.ndim == 1
        y = y.reshape(len(y), -1).astype(np.float64)
        self.y_mean_, self.y_scale_ = y.mean(0), y.std(0)
        self.y_scale_[self.y_scale_ == 0] = 1
        target = ((y - self.y_mean_) / self.y_scale_).astype(X.dtype)
        self._fit(X, target, y.shape[1], nn.MSELoss())
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predictions of y's shape, in the type it computes in."""
        found = self._outputs(X)
        found = (found * self.y_scale_ + self.y_mean_).astype(found.dtype)
        return found[:, 0] if self._single else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
