"""What a built page gets beyond what Zensical makes: its language, whole options, copy buttons for commands, and pictures that open."""

import html
import re

_BLOCK = re.compile(r"<pre>(?P<before>(?:<span></span>)?<code>)(?P<lines>.*?)</code></pre>", re.DOTALL)
_INLINE_CODE = re.compile(r"(?<!<pre>)(?<!<span></span>)<code>([^<]*)</code>")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_NOT_A_PROMPT = re.compile(r'^<span class="gp">#(.*)$', re.MULTILINE)
_PICTURE = re.compile(r'<img alt="[^"]*" src="([^"]+)" />')
_TAG = re.compile(r"<[^>]*>")


def finish_page(page: str, language: str) -> str:
    """A page as it is served.

    Args:
        page: The HTML that Zensical has written.
        language: The page's language, as in `<html lang>`. One configuration of Zensical has one language, English.

    Returns:
        The page with its language; with the options in its text, such as `--fine-tune`, kept on one line; with the commands of each
        screen in `data-copy`, which the theme's copy button takes in place of the whole block, prompts and output included; and with
        each picture as a link to its file, since a plot is too small on a phone.
    """
    page = page.replace('<html lang="en"', f'<html lang="{language}"', 1)
    page = _INLINE_CODE.sub(lambda code: _OPTION.sub(r'<span class="option">\g<0></span>', code[0]), page)
    page = _BLOCK.sub(_finish_block, page)
    return _PICTURE.sub(r'<a class="picture" href="\1">\g<0></a>', page)


def commands_of(screen: str) -> str:
    """What is typed in a screen of a shell (after `$ `) or of Python (after `>>> ` and `... `), without the prompts."""
    typed: list[str] = []
    is_open = False  # whether the next line may continue this one; a line of dots alone stands for output in a screen of a shell
    for line in screen.splitlines():
        if line.startswith(("$ ", ">>> ")):
            typed.append(line.partition(" ")[2])
            is_open = line.startswith(">>> ") or line.endswith("\\")
        elif is_open and typed[-1].endswith("\\"):
            typed.append(line)
            is_open = line.endswith("\\")
        elif is_open and line.startswith("..."):
            typed.append(line.removeprefix("...").removeprefix(" "))
        else:
            is_open = False
    return "\n".join(typed)


def _finish_block(block: re.Match[str]) -> str:
    lines = block["lines"]
    commands = commands_of(html.unescape(_TAG.sub("", lines)))
    if not commands:
        return block[0]
    lines = _NOT_A_PROMPT.sub(_as_output, lines)
    return f'<pre data-copy="{html.escape(commands)}">{block["before"]}{lines}</code></pre>'


def _as_output(line: re.Match[str]) -> str:
    """A printed line that begins with `#`, which the highlighter takes for the prompt of root."""
    return f'<span class="go">#{_TAG.sub("", line[1])}</span>'
