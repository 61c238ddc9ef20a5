"""Course B10: train, validation and test data; k-fold cross-validation; the search for parameters.

What is chosen by looking at a score makes that score too good: parameters are chosen on validation
data, and the test data are looked at once. scikit-learn does the bookkeeping around a fastconv
network, which is an estimator like any other.
"""

from pathlib import Path

from fastconv.data.drawings import draw
from fastconv.examples.show import check, check_that, need, start


def main(pictures: Path | None = None) -> None:
    selection = need("sklearn.model_selection", "scikit-learn")
    from fastconv.estimators import ConvNetClassifier

    images, labels = draw(700, seed=0)
    images = images[:, :, ::2, ::2]  # every other pixel: 14x14
    known, test, y, y_test = selection.train_test_split(
        images, labels, test_size=200, stratify=labels, random_state=0
    )
    train, validation, y_train, y_validation = selection.train_test_split(
        known, y, test_size=100, stratify=y, random_state=0
    )
    check(
        "samples to train, validate and test",
        [len(train), len(validation), len(test)],
        [400, 100, 200],
    )

    def network(rate: float) -> ConvNetClassifier:
        return ConvNetClassifier(epochs=4, lr=rate, random_state=0)

    scores = {}
    for rate in (1e-5, 1e-3, 1e-2):
        scores[rate] = network(rate).fit(train, y_train).score(validation, y_validation)
        print(f"  learning rate {rate:g}: {scores[rate]:.1%} of the validation data are right")
    best = max(scores, key=scores.get)
    check_that("the smallest rate is not the best", best > 1e-5)

    folds = selection.KFold(5, shuffle=True, random_state=0)
    sizes = [(len(a), len(b)) for a, b in folds.split(known)]
    check("5 folds: samples to train and to validate", sizes, [(400, 100)] * 5)
    of_folds = selection.cross_val_score(network(best), known, y, cv=folds)
    print(f"  5-fold cross-validation: {of_folds.mean():.1%} +- {of_folds.std():.1%}")

    grid = {"lr": [1e-5, 1e-2], "batch_size": [16, 64]}
    search = selection.GridSearchCV(network(best), grid, cv=selection.KFold(2)).fit(known, y)
    print(f"  grid search over {len(search.cv_results_['params'])} settings: {search.best_params_}")
    check("the search's learning rate", search.best_params_["lr"], 1e-2)
    right = search.best_estimator_.score(test, y_test)
    check_that(f"the test data, looked at once: {right:.1%} are right", right > 0.85)


if __name__ == "__main__":
    start(main)
