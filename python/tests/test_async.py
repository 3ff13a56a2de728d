import asyncio
import contextlib

import pytest

from merope import AsyncLLM, LLM, RequestOutputKind, SamplingParams

ENDLESS = SamplingParams(temperature=0, max_tokens=99_000, ignore_eos=True)  # the tests abort it


@pytest.fixture(scope="module")
def engine(model):
    return AsyncLLM(model, max_model_len=100_000, max_num_seqs=16)


def running(engine):
    return sum(metric.value for metric in engine.get_metrics()
               if metric.name in ("merope:num_requests_running", "merope:num_requests_waiting"))


async def all_of(engine, prompt, params, request_id=None):
    return [output async for output in engine.generate(prompt, params, request_id)]


async def start(engine, *tasks):
    """Waits until the engine has as many requests as there are tasks."""
    while running(engine) < len(tasks):
        assert not any(task.done() for task in tasks)
        await asyncio.sleep(0.001)


async def becomes_idle(engine):
    for _ in range(500):
        if running(engine) == 0:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("requests go on")


def kinds(**fields):
    return [SamplingParams(max_tokens=6, seed=1, ignore_eos=True, output_kind=kind, **fields)
            for kind in RequestOutputKind]


def test_kinds_of_output(engine, model):
    (whole,) = LLM(model, max_model_len=2048).generate("Hello", kinds(logprobs=1, prompt_logprobs=1)[0])

    async def main():
        return await asyncio.gather(*(all_of(engine, "Hello", params, f"kind {params.output_kind}")
                                      for params in kinds(logprobs=1, prompt_logprobs=1)))
    cumulative, delta, final = asyncio.run(main())
    assert len(final) == 1
    for last in (cumulative[-1], final[0]):
        assert (last.outputs, last.finished) == (whole.outputs, True)
        assert last.prompt_logprobs == whole.prompt_logprobs
    assert [len(output.outputs[0].token_ids) for output in cumulative] == sorted(
        {len(output.outputs[0].token_ids) for output in cumulative})
    assert all(whole.outputs[0].text.startswith(output.outputs[0].text) for output in cumulative)
    assert "".join(output.outputs[0].text for output in delta) == whole.outputs[0].text
    assert sum((output.outputs[0].token_ids for output in delta), []) == whole.outputs[0].token_ids
    assert sum((output.outputs[0].logprobs for output in delta), []) == whole.outputs[0].logprobs
    assert [output.finished for output in delta] == [False] * (len(delta) - 1) + [True]


def test_several_sequences(engine):
    cumulative, delta, final = (asyncio.run(all_of(engine, "Hello", params)) for params in kinds(n=3))
    assert [completion.index for completion in final[0].outputs] == [0, 1, 2]
    assert cumulative[-1].outputs == final[0].outputs
    for completion in final[0].outputs:
        pieces = [piece for output in delta for piece in output.outputs if piece.index == completion.index]
        assert sum((piece.token_ids for piece in pieces), []) == completion.token_ids


def test_many_at_once_are_as_alone(engine, model):
    prompts = [[n + 3] * (n + 1) for n in range(40)]
    params = SamplingParams(temperature=0.9, seed=4, max_tokens=10)
    alone = [output.outputs[0].token_ids for output in LLM(model, max_model_len=2048).generate(prompts, params)]

    async def main():
        return await asyncio.gather(*(all_of(engine, prompt, params) for prompt in prompts))
    assert [outputs[-1].outputs[0].token_ids for outputs in asyncio.run(main())] == alone


def test_a_cancelled_task_ends_its_request(engine):
    async def main():
        task = asyncio.create_task(all_of(engine, "Hello", ENDLESS, "long"))
        await start(engine, task)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await becomes_idle(engine)
        return await all_of(engine, "Hello", kinds()[2], "long")
    assert asyncio.run(main())[0].outputs[0].finish_reason == "length"


def test_leaving_the_loop_ends_the_request(engine):
    async def main():
        async with contextlib.aclosing(engine.generate("Hello", ENDLESS, "left")) as outputs:
            async for output in outputs:
                assert not output.finished
                break
        await becomes_idle(engine)
    asyncio.run(main())


def test_abort(engine):
    async def main():
        task = asyncio.create_task(all_of(engine, "Hello", ENDLESS, "aborted"))
        await start(engine, task)
        await engine.abort(["no such request", "aborted"])
        outputs = await asyncio.wait_for(task, 10)
        assert outputs[-1].finished
        assert outputs[-1].outputs[0].finish_reason == "abort"
        assert len(outputs[-1].outputs[0].token_ids) < ENDLESS.max_tokens
        tasks = [asyncio.create_task(all_of(engine, "Hello", ENDLESS)) for _ in range(3)]
        await start(engine, *tasks)
        engine.shutdown()
        for outputs in await asyncio.wait_for(asyncio.gather(*tasks), 10):
            assert outputs[-1].outputs[0].finish_reason == "abort"
    asyncio.run(main())


def test_what_is_refused(engine):
    async def main():
        with pytest.raises(ValueError, match="512"):
            await all_of(engine, [512], ENDLESS, "a")
        task = asyncio.create_task(all_of(engine, "Hello", ENDLESS, "a"))
        await asyncio.sleep(0)
        with pytest.raises(ValueError, match="request_id: expected one that is not running, found 'a'"):
            await all_of(engine, "Hello", ENDLESS, "a")
        await engine.abort("a")
        await task
        assert await engine.reset_prefix_cache() is True
        assert (await engine.get_tokenizer()).vocab_size == 512
    asyncio.run(main())


def test_the_loop_goes_on_meanwhile(engine):
    async def main():
        task = asyncio.create_task(all_of(engine, "Hello", ENDLESS, "meanwhile"))
        await start(engine, task)
        for _ in range(20):
            await asyncio.sleep(0.001)
            assert not task.done()
        await engine.abort("meanwhile")
        assert (await task)[-1].outputs[0].finish_reason == "abort"
    asyncio.run(main())
