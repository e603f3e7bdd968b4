"""Training in half precision: 200 steps with inputs far from normalised give no NaN, and the loss falls."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scgcnet import zoo


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "side"), [(torch.bfloat16, 64), (torch.float16, 32)])  # float16 is slow here
def test_two_hundred_steps_with_large_inputs(dtype: torch.dtype, side: int) -> None:
    torch.manual_seed(0)
    model = zoo.create_model("scgcnet", "tiny").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, fused=True)
    # Fractions of float16 end at 6e-8: without a factor, small gradients would be lost.
    scaler = torch.amp.GradScaler("cpu", enabled=dtype == torch.float16)
    squares = torch.randn(2, 3, side // 8, side // 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    images = 300 * squares + 500
    masks = (images[:, 0] > 500).long()
    losses = []
    for _ in range(200):
        with torch.autocast("cpu", dtype):
            logits = model(images)
            loss = F.cross_entropy(logits.float(), masks)
        losses.append(float(loss))
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    assert all(torch.isfinite(torch.tensor(losses)))
    assert all(p.isfinite().all() for p in model.parameters())
    assert losses[-1] < 0.1 * losses[0]
