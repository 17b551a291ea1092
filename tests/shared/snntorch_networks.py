"""Networks as snnTorch's tutorials write them: tutorials 5, 6 and 7, regression I and II."""

import snntorch as snn
import torch
from torch import nn


class Tutorial5(nn.Module):
    def __init__(self, num_steps=6, neuron=lambda: snn.Leaky(beta=0.95)):
        super().__init__()
        self.num_steps = num_steps
        self.fc1, self.lif1 = nn.Linear(784, 40), neuron()
        self.fc2, self.lif2 = nn.Linear(40, 10), neuron()

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk2_rec, mem2_rec = [], []
        for _step in range(self.num_steps):
            cur1 = self.fc1(x)
            spk1, mem1 = self.lif1(cur1, mem1)
            cur2 = self.fc2(spk1)
            spk2, mem2 = self.lif2(cur2, mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)


class Regression1(nn.Module):
    def __init__(self, timesteps, hidden):
        super().__init__()
        self.timesteps = timesteps
        self.fc_in = nn.Linear(1, hidden)
        self.lif_in = snn.Leaky(beta=torch.rand(hidden), threshold=torch.rand(hidden), learn_beta=True)
        self.fc_hidden = nn.Linear(hidden, hidden)
        self.lif_hidden = snn.Leaky(beta=torch.rand(hidden), threshold=torch.rand(hidden), learn_beta=True)
        self.fc_out = nn.Linear(hidden, 1)
        self.li_out = snn.Leaky(beta=torch.rand(1), threshold=1.0, learn_beta=True, reset_mechanism="none")

    def forward(self, x):
        mem_1 = self.lif_in.init_leaky()
        mem_2 = self.lif_hidden.init_leaky()
        mem_3 = self.li_out.init_leaky()
        mem_3_rec = []
        for step in range(self.timesteps):
            spk_in, mem_1 = self.lif_in(self.fc_in(x[step, :, :]), mem_1)
            spk_hidden, mem_2 = self.li_out(self.fc_hidden(spk_in), mem_2)  # as in the tutorial: li_out twice
            _, mem_3 = self.li_out(self.fc_out(spk_hidden), mem_3)
            mem_3_rec.append(mem_3)
        return torch.stack(mem_3_rec)


class Regression2(nn.Module):
    def __init__(self, timesteps, hidden, neuron):
        super().__init__()
        self.timesteps = timesteps
        self.recurrent = type(neuron(2)).__name__.startswith("R")
        self.fc1, self.rlif1 = nn.Linear(784, hidden), neuron(hidden)
        self.fc2, self.rlif2 = nn.Linear(hidden, 10), neuron(10)

    def forward(self, x):
        state1, state2 = first_state(self.rlif1), first_state(self.rlif2)
        spk_recording = []
        for _step in range(self.timesteps):
            spk1, *state1 = self.rlif1(self.fc1(x), *state1)
            state1 = [spk1, *state1] if self.recurrent else state1
            spk2, *state2 = self.rlif2(self.fc2(spk1), *state2)
            state2 = [spk2, *state2] if self.recurrent else state2
            spk_recording.append(spk2)
        return torch.stack(spk_recording)


def first_state(neuron):
    state = neuron.reset_mem()
    return list(state) if isinstance(state, tuple) else [state]


def tutorial_6_and_7(channels, hidden, size):
    def neuron(**options):
        return snn.Leaky(beta=0.5, init_hidden=True, **options)

    return nn.Sequential(
        nn.Conv2d(channels, 4, 5), nn.MaxPool2d(2), neuron(),
        nn.Conv2d(4, hidden, 5), nn.MaxPool2d(2), neuron(),
        nn.Flatten(), nn.Linear(hidden * size**2, 10), neuron(output=True),
    )  # fmt: skip
