"""Makes an evaluation file for `merope rag-eval` from QED, the same bytes each time: python3 make_eval.py --qed DIR -o DATA.jsonl

QED (Lamm et al., arXiv 2009.06354; dev.jsonl and train.jsonl in DIR) has questions of people, a paragraph of Wikipedia for each, and the
sentence that answers. A line of DATA.jsonl is one question:

    {"id", "query", "sources": [{"text"}, …], "answers": [string, …], "source": 1-based index or null, "quote": string or null,
     "answerable": bool}

Taken are the lines whose answer lies in a single sentence of 20 to 400 characters, in a paragraph of two or more sentences. The sources are
the paragraph and the two other ones that BM25 finds for the question, of those that hold no gold answer, shuffled. A question whose
sha256(example_id) mod 5 is 0 gets three such paragraphs without an answer, and counts as unanswerable.

    --hard        takes the answering sentence out of each paragraph: every question is unanswerable, with its topic still there
    --part train  500 questions of the training file, held out by title (for choices; dev only measures)

QED's text is tokenised with spaces; this script undoes that."""

import argparse
import collections
import hashlib
import json
import math
import pathlib
import random
import re
import sys

HELD_OUT = 500
K1, B = 1.2, 0.75  # BM25's usual constants


def plain(text):
    """Undoes the tokenisation of QED."""
    text = re.sub(r"``\s*|\s*''", '"', text)
    text = re.sub(r"\s+([,.;:!?%)\]])", r"\1", text)
    text = re.sub(r"([(\[$£€#])\s+", r"\1", text)
    text = re.sub(r"\s+('(?:s|re|ve|ll|d|m|t)\b|n't\b)", r"\1", text)
    text = re.sub(r"(\w) '(?=\s)", r"\1'", text)
    text = re.sub(r"(\w) - (\w)", r"\1-\2", text)
    text = re.sub(r"(\w) - (\w)", r"\1-\2", text)  # "a - b - c"
    text = re.sub(r"\s*--\s*", " – ", text)
    return re.sub(r"\s+", " ", text).strip()


def sentences(line):
    starts = [*line["sentence_starts"], len(line["paragraph_text"])]
    return [plain(line["paragraph_text"][a:b]) for a, b in zip(starts, starts[1:])]


def words(text):
    return re.findall(r"\w+", text.lower())


def contains(text, answer):
    return f" {' '.join(words(answer))} " in f" {' '.join(words(text))} "


class Bm25:
    def __init__(self, texts):
        self.counts = [collections.Counter(words(text)) for text in texts]
        self.lengths = [sum(count.values()) for count in self.counts]
        self.mean = sum(self.lengths) / len(texts)
        self.having = collections.Counter(word for count in self.counts for word in count)

    def ranking(self, query):
        n = len(self.counts)

        def score(i):
            total = 0.0
            for word in words(query):
                frequency = self.counts[i][word]
                if frequency:
                    idf = math.log(1 + (n - self.having[word] + 0.5) / (self.having[word] + 0.5))
                    total += idf * frequency * (K1 + 1) / (frequency + K1 * (1 - B + B * self.lengths[i] / self.mean))
            return total
        return sorted(range(n), key=lambda i: (-score(i), i))


def chosen(lines, part):
    """Returns (line, index of the answering sentence, answers) of each question that is taken."""
    found = []
    for line in lines:
        if part == "dev":
            annotation = line["annotation"]
            if annotation["explanation_type"] != "single_sentence":
                continue
            start, end = annotation["selected_sentence"]["start"], annotation["selected_sentence"]["end"]
            answers = [span["string"] for spans in line["original_nq_answers"] for span in spans]
            answers += [answer["paragraph_reference"]["string"] for answer in annotation["answer"]]
        else:
            starts = [*line["sentence_starts"], len(line["paragraph_text"])]
            inside = {sum(a <= begin for a in starts) - 1 for begin, _ in line["answer_spans"]}
            if len(inside) != 1 or line["answer_type"] != "single_sentence":
                continue
            start, end = starts[min(inside)], starts[min(inside) + 1]
            answers = line["answer_text"]
        if not 20 <= end - start <= 400 or len(line["sentence_starts"]) < 2 or start not in line["sentence_starts"]:
            continue
        found.append((line, line["sentence_starts"].index(start), list(dict.fromkeys(map(plain, answers)))))
    return found


def held_out(lines):
    """500 lines, all those of the titles that come first by the hash of the title."""
    by_title = collections.defaultdict(list)
    for line in lines:
        by_title[line[0]["title_text"]].append(line)
    order = sorted(by_title, key=lambda title: hashlib.sha256(title.encode()).hexdigest())
    return [line for title in order for line in by_title[title]][:HELD_OUT]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qed", required=True, type=pathlib.Path, metavar="DIR", help="the folder with dev.jsonl and train.jsonl")
    parser.add_argument("-o", "--output", required=True, type=pathlib.Path, metavar="DATA.jsonl")
    parser.add_argument("--part", choices=("dev", "train"), default="dev")
    parser.add_argument("--hard", action="store_true", help="take the answering sentences out")
    arguments = parser.parse_args()
    file = arguments.qed / f"{arguments.part}.jsonl"
    try:
        lines = chosen([json.loads(line) for line in file.read_text().splitlines()], arguments.part)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"make_eval.py: {file}: expected a file of QED, found {error!r}")
    if arguments.part == "train":
        lines = held_out(lines)

    paragraphs = list(dict.fromkeys(" ".join(sentences(line)) for line, _, _ in lines))
    index = Bm25(paragraphs)
    with arguments.output.open("w") as out:
        for line, answering, answers in lines:
            query, own = line["question_text"], sentences(line)
            paragraph, quote = " ".join(own), own[answering]
            others = [i for i in index.ranking(query)
                      if paragraphs[i] != paragraph and not any(contains(paragraphs[i], answer) for answer in answers)]
            digest = int(hashlib.sha256(str(line["example_id"]).encode()).hexdigest(), 16)
            answerable = digest % 5 != 0 and not arguments.hard
            if arguments.hard:
                paragraph = " ".join(own[:answering] + own[answering + 1:])
            without = digest % 5 == 0 and not arguments.hard
            texts = [paragraphs[i] for i in others[:3]] if without else [paragraph, *(paragraphs[i] for i in others[:2])]
            random.Random(line["example_id"]).shuffle(texts)
            out.write(json.dumps({
                "id": str(line["example_id"]), "query": query, "sources": [{"text": text} for text in texts], "answers": answers,
                "source": texts.index(paragraph) + 1 if answerable else None, "quote": quote if answerable else None,
                "answerable": answerable}, ensure_ascii=False) + "\n")
    print(f"{arguments.output}: {len(lines)} questions, {len(paragraphs)} paragraphs", file=sys.stderr)


if __name__ == "__main__":
    main()
