"""From a problem to the text that the model continues."""

from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

__all__ = ["render", "tokenized"]


def render(tokenizer: Any, prompt: str, *, system: str | None = None, thinking: bool = True) -> str:
    """The prompt in the tokenizer's chat template, or as it is where there is none.

    Args:
        tokenizer: with or without a chat template.
        prompt: the user's message.
        system: a system message before it.
        thinking: passed to templates that can switch thinking, such as Qwen3's.

    Raises:
        ValueError: there is a system message but no template that could hold it, or the template refuses the messages.
    """
    if tokenizer.chat_template is None:
        if system:
            raise ValueError("got a system prompt, but the tokenizer has no chat template; put it into the prompts")
        return prompt
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt})
    how = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": thinking}
    try:
        return str(tokenizer.apply_chat_template(messages, **how))
    except TemplateError as error:
        advice = "drop the system prompt, or pass" if system else "pass"
        raise ValueError(
            f"the tokenizer's chat template refuses these messages ({error}); {advice} a model with another template"
        ) from None


def tokenized(tokenizer: Any, prompts: Sequence[str], names: Sequence[str]) -> list[list[int]]:
    """The tokens of prompts that were rendered.

    Args:
        names: what each prompt is called in messages.

    Raises:
        ValueError: a prompt has no token, or letters that the tokenizer has no token for; the message names it.
    """
    try:
        tokens = tokenizer(list(prompts), add_special_tokens=False).input_ids if prompts else []
    except Exception as error:  # tokenizers raises nothing narrower
        if len(prompts) > 1:
            for prompt, name in zip(prompts, names, strict=True):
                tokenized(tokenizer, [prompt], [name])
        raise ValueError(f"{names[0]}: the tokenizer cannot read the prompt ({error}); change it") from None
    for ids, name in zip(tokens, names, strict=True):
        if not ids:
            raise ValueError(f"{name}: the prompt has no token, once in the chat template; look at the template")
    return list(tokens)
