"""Three studies of made-up trials in optuna's dashboard: ``python optuna_app.py PORT WORK``."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import optuna
from optuna_dashboard import run_server

if __name__ == "__main__":
    path = Path(sys.argv[2], "optuna.db")
    path.unlink(missing_ok=True)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    random.seed(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name in ("crane speed", "berth order", "pilot shifts"):
        study = optuna.create_study(study_name=name, storage=storage, sampler=optuna.samplers.RandomSampler(seed=1))
        study.optimize(
            lambda t: (
                t.suggest_float("load", 0, 9) ** 2 + t.suggest_int("gate", 1, 5) + len(t.suggest_categorical("tide", ["low", "high"]))
            ),
            n_trials=12,
        )
    run_server(storage, host="127.0.0.1", port=int(sys.argv[1]))
