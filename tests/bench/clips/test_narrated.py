"""The narrated clip shows and says what its truth says."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from bench.clips import narrated
from bench.clips.lettering import BOLD, Lettering, letter
from bench.clips.narrated import Narrated, known, make_narrated
from bench.clips.narrated_parts import parts
from bench.clips.photographs import package_file
from bench.clips.sound import RATE
from bench.clips.voice import PAUSE_S, resampled, say


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Narrated]:
    """The first two parts."""
    path = tmp_path_factory.mktemp("clips") / "narrated.mp4"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(narrated, "parts", lambda: parts()[:2])
        return path, make_narrated(path)


def test_the_clip_cuts_where_the_truth_says(made: tuple[Path, Narrated]) -> None:
    path, truth = made
    with av.open(str(path)) as clip:
        small = [
            frame.reformat(160, 90, "gray").to_ndarray().astype(np.int16)
            for frame in clip.decode(video=0)
        ]
    assert len(small) == truth.frame_count == 210
    change = np.abs(np.diff(small, axis=0)).mean(axis=(1, 2))
    assert int(change.argmax()) + 1 == truth.cuts[0] == 105
    assert np.delete(change, 104).max() < change[104] / 5


def test_it_speaks_in_the_sentences_and_is_silent_between_them(
    made: tuple[Path, Narrated],
) -> None:
    path, truth = made
    with av.open(str(path)) as clip:
        rate = clip.streams.audio[0].rate
        sound = np.concatenate([f.to_ndarray()[0] for f in clip.decode(audio=0)])
    first, second = truth.sentences

    def loudness(start_s: float, end_s: float) -> float:
        return float(np.abs(sound[int(start_s * rate) : int(end_s * rate)]).mean())

    for sentence in (first, second):
        assert loudness(sentence.start_s, sentence.end_s) > 0.01
    assert loudness(first.end_s + 0.1, second.start_s - 0.05) < 0.001


def test_every_sentence_ends_within_its_scene() -> None:
    story = parts()
    spoken_s = [
        len(resampled(say(part.sentence, narrated._VOICE, narrated._WORDS_PER_MINUTE))) / RATE
        for part in story
    ]
    truth = known(story, [seconds - PAUSE_S for seconds in spoken_s])
    assert len(truth.sentences) == len(truth.scenes) == 8
    for sentence, scene in zip(truth.sentences, truth.scenes, strict=True):
        assert scene.first / truth.fps < sentence.start_s < sentence.end_s < scene.end / truth.fps


def test_texts_and_photographs_stay_within_the_frame_and_a_scene() -> None:
    truth = known(parts(), [1.0] * 8)
    assert len(truth.texts) > 20
    for line in truth.texts:
        assert line.box.x > 0
        assert line.box.x + line.box.width < truth.width
        assert line.frames in truth.scenes
    assert {"bus", "person", "tie"} <= {
        label for shown in truth.photographs for label in shown.photograph.labels
    }
    assert len(truth.shapes) == truth.frame_count


def test_the_box_of_a_line_holds_its_ink_and_nothing_else() -> None:
    blank = np.zeros((200, 500, 3), np.uint8)
    frame, (box,) = letter(blank, [Lettering("Ägypten 7", 30, 50, 60, font=BOLD)])
    rows, columns = np.nonzero(frame.max(axis=2))
    assert box.label == "Ägypten 7"
    assert columns.min() == pytest.approx(box.x, abs=1)
    assert columns.max() + 1 == pytest.approx(box.x + box.width, abs=1)
    assert rows.min() == pytest.approx(box.y, abs=1)
    assert rows.max() + 1 == pytest.approx(box.y + box.height, abs=1)
    assert not blank.any()


def test_the_same_sentence_sounds_the_same_and_voices_differ() -> None:
    once = say("One bus.", "en-gb", 150)
    assert np.array_equal(once, say("One bus.", "en-gb", 150))
    assert len(once) > len(say("One bus.", "en-gb", 300))


def test_a_package_that_is_missing_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="no_such_package"):
        package_file("no_such_package", "photo.jpg")
