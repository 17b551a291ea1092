"""What a person sees: lines that fit a terminal of 80 columns, with and without one."""

import io

import pytest
from rich.console import Console

from spquant_snn.train.console import Display
from spquant_snn.train.metrics import LayerActivity, Metrics

WELL = LayerActivity("conv1", 0.209, 0.223, 0.169)


def console(terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, highlight=False, soft_wrap=True)


def train(display, epochs, metrics):
    with display:
        for epoch in range(epochs):
            display.begin(epoch, 2)
            display.step(0.5, 50.0)
            display.step(0.4, 60.0)
            display.end(epoch, 60.0, metrics, best=epoch == 0)
    return display.console.file.getvalue()


def test_an_epoch_is_one_line():
    lines = train(Display(2, console(False)), 2, Metrics(79.02, 0.5, (WELL,))).splitlines()
    assert lines == [
        "epoch 1/2  train 60.0%  val 79.02%*  rate 20.9%  sat 22%  dead 17%  0 s",
        "epoch 2/2  train 60.0%  val 79.02%   rate 20.9%  sat 22%  dead 17%  0 s",
    ]


def test_the_longest_line_fits_80_columns():
    display = Display(999, console(False))
    display.begin(998, 1)
    display._began -= 99
    display.end(998, 100.0, Metrics(100.0, 0.0, (LayerActivity("x", 0.5, 0.9, 0.99),)), best=True)
    line = display.console.file.getvalue().rstrip("\n")
    assert "99 s" in line
    assert len(line) <= 80


def test_the_activity_is_the_mean_of_the_layers():
    layers = (LayerActivity("a", 0.1, 0.2, 0.3), LayerActivity("b", 0.3, 0.4, 0.5))
    assert "rate 20.0%  sat 30%  dead 40%" in train(Display(1, console(False)), 1, Metrics(50.0, 0.5, layers))


def test_a_layer_in_trouble_gets_a_line():
    layers = (WELL, LayerActivity("fc[3]", 0.0, 0.0, 1.0))
    lines = train(Display(1, console(False)), 1, Metrics(50.0, 0.5, layers)).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("warning: layer 'fc[3]' is silent")  # and no markup is read out of a name


def test_a_terminal_sees_a_bar_with_loss_accuracy_and_time_left():
    text = train(Display(3, console(True)), 3, Metrics(50.0, 0.5, (WELL,)))
    assert "epoch 1/3" in text
    assert "loss 0.400  60.0 %" in text
    assert "6/6" in text
    assert "\x1b[?25h" in text  # the cursor is given back


def test_the_cursor_is_given_back_when_a_training_breaks():
    display = Display(1, console(True))

    def broken():
        with display:
            display.begin(0, 2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert "\x1b[?25l" in display.console.file.getvalue()
    assert display.console.file.getvalue().count("\x1b[?25l") == display.console.file.getvalue().count("\x1b[?25h")


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_is_quiet(terminal):
    display = Display(1, console(terminal), quiet=True)
    display.say("hello")
    assert train(display, 1, Metrics(50.0, 0.5, (LayerActivity("x", 0, 0, 1),))) == ""


def test_what_is_said_is_printed_as_it_is():
    display = Display(1, console(False))
    display.say("run folder runs/[bold]x[/bold] " + 100 * "y")
    assert display.console.file.getvalue() == "run folder runs/[bold]x[/bold] " + 100 * "y" + "\n"
