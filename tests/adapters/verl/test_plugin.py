"""verl finds the installed package by itself: in fresh processes, in Ray's, and loudly where that fails."""

import subprocess
import sys

import pytest

pytest.importorskip("verl")
import ray

from advantages import estimators


def python(code, **environment):
    import os

    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=os.environ | environment
    )


NAMES = "from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY as found; print(*found)"


@pytest.mark.parametrize("first", ["import verl", "import advantages.adapters.verl", "import verl.trainer.main_ppo"])
def test_a_fresh_process_has_the_estimators(first):
    done = python(f"{first}; {NAMES}")
    assert done.returncode == 0, done.stderr
    assert {"lampo", *(f"advantages.{name}" for name in estimators.__all__)} <= set(done.stdout.split())
    assert "plug-in failed" not in done.stderr


def test_a_process_may_refuse_plugins():
    done = python(f"import verl; {NAMES}", VERL_USE_EXTERNAL_PLUGINS="none")
    assert "lampo" not in done.stdout.split()
    done = python(
        f"import verl; {NAMES}",
        VERL_USE_EXTERNAL_PLUGINS="none",
        VERL_USE_EXTERNAL_MODULES="advantages.adapters.verl_plugin",
    )
    assert "lampo" in done.stdout.split()


MOVED = """
import verl.utils.config
del verl.utils.config.validate_config
import advantages.adapters.verl_plugin  # what verl does when it is imported
"""


def test_a_plugin_that_fails_says_so():
    done = python(MOVED, VERL_USE_EXTERNAL_PLUGINS="none")
    assert "the estimators of `advantages` are not available in verl, whose plug-in failed" in done.stderr
    assert "MovedHookError: verl.utils.config has no validate_config" in done.stderr


def test_a_version_that_was_not_tested_warns():
    done = python(
        "import importlib.metadata as m; old = m.version; m.version = lambda n: '0.12.0' if n == 'verl' else old(n);"
        "import verl"
    )
    assert "verl 0.12.0 is outside the range that the adapter was tested with" in done.stderr


@pytest.fixture(scope="module")
def runner():
    """verl's own task runner, an actor in a local Ray."""
    from verl.trainer.main_ppo import TaskRunnerV1

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield TaskRunnerV1.options(num_cpus=0).remote()
    ray.shutdown()


def test_the_task_runner_has_the_estimators(runner):
    def names(_):
        from verl.trainer.ppo.core_algos import ADV_ESTIMATOR_REGISTRY

        return list(ADV_ESTIMATOR_REGISTRY)

    found = ray.get(runner.__ray_call__.remote(names), timeout=200)
    assert {"lampo", *(f"advantages.{name}" for name in estimators.__all__)} <= set(found)
