"""OpenRLHF's own command line, started by ours: what it is told, and what is refused before training."""

import json
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest

pytest.importorskip("openrlhf")
import openrlhf.utils
from openrlhf.trainer.ppo_utils import experience_maker

from advantages.adapters.hooks import MovedHookError
from advantages.adapters.openrlhf import Request, runtime_env, runtime_env_hook, setup, worker
from advantages.adapters.openrlhf.__main__ import main
from advantages.adapters.openrlhf.request import plan_for


def command(name, options=None, *more):
    return ["--advantage", name, "--advantage-options", json.dumps(options or {}), *more]


@pytest.mark.parametrize(
    ("name", "critic"), [("lampo", None), ("rloo", None), ("reinforce_plus_plus", None), ("gae", "actor")]
)
def test_openrlhf_trains_a_critic_where_the_estimator_takes_values(name, critic, parse):
    args = parse(advantage=command(name))
    assert args.critic.model_name_or_path == critic
    assert args.algo.advantage.estimator == f"advantages:{name}"


def test_without_the_setup_training_stops(parse, roll, samples):
    with pytest.raises(Exception, match="advantage_estimator advantages:lampo"):
        roll(parse(advantage=command("lampo")), samples())


@pytest.mark.parametrize(
    ("advantage", "arguments", "message"),
    [
        (command("lampo"), "--rollout.n_samples_per_prompt 1", "n_samples_per_prompt is 1, but lampo compares"),
        (
            command("rloo"),
            "--algo.advantage.gamma 0.9",
            "advantage.gamma is 0.9, but rloo has no setting discount, .* leave it at 1.0",
        ),
        (command("grpo"), "--algo.advantage.lambd 0.9", "advantage.lambd is 0.9, but grpo has no setting lambda_"),
        (
            command("gae"),
            "--algo.advantage.lambd 1.5",
            "gae: --algo.advantage.lambd is 1.5; pass a number between 0 and 1",
        ),
        (command("rloo"), "--algo.advantage.no_std_norm", "is about OpenRLHF's whitening, .* add --advantage-whiten"),
        (command("rloo"), "--critic.model_name_or_path x", "--critic.model_name_or_path is x, but rloo takes no val"),
        (command("gdpo"), "", "gdpo takes one reward per component; name them in the option components"),
        (
            command("gdpo", {"components": ["right"]}),
            "--reward.overlong_buffer_len 3 --rollout.max_new_tokens 4",
            'length penalties change the reward, .* right; add "reward" to them',
        ),
        (
            command("users_own:towards_reference"),
            "--algo.kl.init_coef 0.1",
            "towards_reference needs ref_token_logprobs .* does not hand to estimators here",
        ),
        (command("lambo"), "", "estimator 'lambo': there is none; .* did you mean 'lampo'"),
        (command("advantages.lamp"), "", "did you mean 'lampo'"),
        (command("lampo", {"tau": 1}), "", "lampo: takes no option 'tau'"),
        (command("lampo", {"temprature": 1}), "", "takes no option 'temprature'; .* did you mean 'temperature'"),
        (
            command("reinforce_plus_plus", {"across": "data"}),
            "",
            "takes no option 'across' under OpenRLHF; .* whole batch",
        ),
        (command("lampo", {"group_size": 4}), "", "takes no option 'group_size'; options are"),
        (command("gae", {"discount": 1}), "", "gae: takes no option 'discount' under OpenRLHF; set --algo.advantage.g"),
        (command("gae", {"lambda_": 1}), "", "takes no option 'lambda_' under OpenRLHF; set --algo.advantage.lambd"),
        (["--advantge", "lampo"], "", "takes no --advantge; did you mean --advantage"),
        (
            ["--advantage", "lampo", "--advantage-option", "{}"],
            "",
            "no --advantage-option; did you mean --advantage-opt",
        ),
        (
            ["--advantage=lampo", "--advantage-whitn=1"],
            "",
            "takes no --advantage-whitn; did you mean --advantage-whiten",
        ),
        (["--advantage", "lampo", "--seed", "3"], "", "takes no --seed; arguments of OpenRLHF come after --"),
        (["--advantage-whiten"], "", "names no estimator; pass --advantage lampo"),
        (command("rloo"), "--algo.advantage.estimator rloo", "--algo.advantage.estimator names a second estimator"),
        (command("rloo"), "--algo.advantage.est=rloo", "--algo.advantage.est=rloo names a second estimator"),
        (["--advantage", "rloo", "--advantage-options", "{"], "", "'{' is no JSON"),
        (["--advantage", "rloo", "--advantage-options", "[1]"], "", "is no JSON object; pass settings by name"),
    ],
)
def test_a_run_that_cannot_work_is_refused_before_it_starts(advantage, arguments, message, parse, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "users_own", SimpleNamespace(towards_reference=towards_reference))
    with pytest.raises(SystemExit) as refused:
        parse(arguments, advantage=advantage)
    assert refused.value.code != 0
    assert re.search(message, f"{refused.value} {capsys.readouterr().err}".replace("\n", " "))


def towards_reference(rewards, token_logprobs, ref_token_logprobs, mask): ...


def test_an_estimator_over_reference_logprobs_is_served_where_openrlhf_keeps_them(parse, monkeypatch):
    monkeypatch.setitem(sys.modules, "users_own", SimpleNamespace(towards_reference=towards_reference))
    parse("--algo.kl.init_coef 0.1 --algo.kl.use_loss", advantage=command("users_own:towards_reference"))


def test_arguments_for_openrlhf_come_after_two_dashes(capsys):
    with pytest.raises(SystemExit):
        main(command("lampo"))
    assert "got no arguments for OpenRLHF; pass them after --" in capsys.readouterr().err


def test_without_our_command_a_worker_refuses(parse, install, roll, samples):
    install(Request("gae", {}))
    with pytest.raises(TypeError, match=r"gae needs values \(.*\), which OpenRLHF does not hand to estimators here"):
        roll(parse("--algo.advantage.estimator reinforce"), samples())
    install(Request("lampo", {}))
    with pytest.raises(
        ValueError, match=r"is actor, but lampo takes no values, .* and --algo\.advantage\.estimator gae"
    ):
        roll(parse("--algo.advantage.estimator gae"), samples())


def test_an_estimator_of_openrlhfs_own_beside_ours_is_refused(parse, install, roll, samples):
    install(Request("rloo", {}))
    with pytest.raises(
        ValueError, match=r"estimator is group_norm, but rloo forms the advantages of this run; pass rein"
    ):
        roll(parse("--algo.advantage.estimator group_norm"), samples())
    args = parse(advantage=command("grpo"))
    with pytest.raises(ValueError, match=r"estimator is advantages:grpo, but rloo forms the advantages of this run"):
        plan_for(Request("rloo", {}), args)


# The runtime environment


def test_the_environment_says_what_to_set_up(monkeypatch, capsys):
    environment = runtime_env("lampo", {"temperature": 0.5})
    main([*command("lampo", {"temperature": 0.5}), "--runtime-env"])
    assert json.loads(capsys.readouterr().out) == environment

    monkeypatch.setenv(*next(iter(environment["env_vars"].items())))
    assert Request.from_environment() == Request("lampo", {"temperature": 0.5}, False)
    assert runtime_env_hook(None) == environment
    merged = runtime_env_hook({"env_vars": {"NCCL_DEBUG": "WARN"}, "working_dir": "."})
    assert merged == {**environment, "env_vars": {"NCCL_DEBUG": "WARN", **environment["env_vars"]}, "working_dir": "."}
    assert runtime_env_hook(merged) == merged


def test_ray_runs_one_setup_hook(monkeypatch):
    monkeypatch.setenv("ADVANTAGES_OPENRLHF", runtime_env("rloo")["env_vars"]["ADVANTAGES_OPENRLHF"])
    with pytest.raises(
        ValueError, match=r"has the worker_process_setup_hook 'mine.setup', .*; call advantages\..*\.setup"
    ):
        runtime_env_hook({"worker_process_setup_hook": "mine.setup"})


def test_a_setup_that_was_told_nothing_says_so(monkeypatch):
    monkeypatch.delenv("ADVANTAGES_OPENRLHF", raising=False)
    with pytest.raises(ValueError, match="ADVANTAGES_OPENRLHF is not set; start the run with `python -m advantages"):
        setup()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lampo", "is 'lampo', which is no JSON .*; write it as in "),
        ('["lampo"]', "is .*, which names no estimator under the key 'advantage'; write it as in "),
        ('{"options": {}}', "is .*, which names no estimator under the key 'advantage'"),
        ('{"advantage": 3}', "is .*, which names no estimator under the key 'advantage'"),
        ('{"advantge": "lampo"}', "has the key 'advantge'; .* did you mean 'advantage'"),
        ('{"advantage": "lampo", "option": {"temperature": 1}}', "has the key 'option'; .* did you mean 'options'"),
        ('{"advantage": "lampo", "whitening": true}', "has the key 'whitening'; .* did you mean 'whiten'"),
        ('{"advantage": "lampo", "whiten": "no"}', "says that whiten is 'no'; pass true or false"),
    ],
)
def test_a_misspelt_request_is_refused_in_the_first_worker(text, message, monkeypatch):
    monkeypatch.setenv("ADVANTAGES_OPENRLHF", text)
    with pytest.raises(ValueError, match=f"ADVANTAGES_OPENRLHF {message}"):
        setup()


def test_options_may_be_left_out_of_a_request(monkeypatch):
    monkeypatch.setenv("ADVANTAGES_OPENRLHF", '{"advantage": "lampo"}')
    assert Request.from_environment() == Request("lampo", {}, False)


@pytest.mark.parametrize(
    ("advantage", "options", "message"),
    [
        (lambda rewards: rewards, None, "cannot import; pass a name"),
        ("lampo", ["temperature"], "its options are .*; pass a mapping"),
        ("gae", {"discount": 0.9}, "set --algo.advantage.gamma"),
    ],
)
def test_an_environment_that_cannot_work_is_not_made(advantage, options, message):
    with pytest.raises(TypeError, match=message):
        runtime_env(advantage, options)


# Moved hooks


@pytest.mark.parametrize("path", worker.HOOKS)
def test_a_moved_hook_is_an_error_that_names_it(path, monkeypatch):
    monkeypatch.setenv("ADVANTAGES_OPENRLHF", runtime_env("rloo")["env_vars"]["ADVANTAGES_OPENRLHF"])
    owner, _, name = path.rpartition(".")
    monkeypatch.delattr(getattr(experience_maker, owner) if owner else experience_maker, name)
    with pytest.raises(MovedHookError, match=f"experience_maker has no {path}, which the adapter holds on to"):
        setup()


def test_a_moved_module_is_an_error_in_the_worker(monkeypatch):
    monkeypatch.setenv("ADVANTAGES_OPENRLHF", runtime_env("rloo")["env_vars"]["ADVANTAGES_OPENRLHF"])
    monkeypatch.setattr(worker, "MAKER", "openrlhf.trainer.ppo_utils.experience_factory")
    with pytest.raises(MovedHookError, match=r"there is no openrlhf\..*experience_factory, which the adapter holds on"):
        setup()


@pytest.mark.parametrize(
    ("owner", "name"), [(sys.modules["openrlhf.utils"], "get_strategy"), (experience_maker, "compute_reward")]
)
def test_a_moved_hook_is_an_error_in_the_driver(owner, name, monkeypatch):
    monkeypatch.delattr(owner, name)
    with pytest.raises(MovedHookError, match=f"has no {name}, which the adapter holds on to"):
        main([*command("rloo"), "--"])


def test_a_moved_module_is_an_error_in_the_driver(monkeypatch):
    monkeypatch.setattr(openrlhf, "utils", ModuleType("utils"))
    monkeypatch.setitem(sys.modules, "openrlhf.utils.config", None)
    with pytest.raises(MovedHookError, match=r"there is no openrlhf\.utils\.config, which the adapter holds on to"):
        main([*command("rloo"), "--"])
