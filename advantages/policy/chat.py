"""From a problem to the text that the model continues."""

from typing import Any

__all__ = ["render"]


def render(tokenizer: Any, prompt: str, *, system: str | None = None, thinking: bool = True) -> str:
    """The prompt in the tokenizer's chat template, or as it is where there is none.

    Args:
        tokenizer: with or without a chat template.
        prompt: the user's message.
        system: a system message before it.
        thinking: passed to templates that can switch thinking, such as Qwen3's.

    Raises:
        ValueError: there is a system message but no template that could hold it.
    """
    if tokenizer.chat_template is None:
        if system:
            raise ValueError("got a system prompt, but the tokenizer has no chat template; put it into the prompts")
        return prompt
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": prompt})
    return str(
        tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, enable_thinking=thinking)
    )
