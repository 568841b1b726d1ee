"""The model card: what a run is, in Markdown, for whoever finds the folder or the archive."""

from __future__ import annotations

from typing import Any

from .run import RunInfo


def write_card(name: str, info: RunInfo, labels: list[str], metrics: dict[str, Any], words: int) -> str:
    """A model card in the spirit of Mitchell et al., Model Cards for Model Reporting, 2019, arXiv:1810.03993."""
    test, data, recipe = metrics["test"], info.data, info.recipe
    rows = [
        f"| {label} | {one['precision']:.3f} | {one['recall']:.3f} | {one['f1']:.3f} | {one['support']:,} |"
        for label, one in test["per_class"].items()
    ]
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in data["dropped"].items() if count) or "none"
    return "\n".join(
        [
            f"# {name}",
            "",
            f"A text classifier for {len(labels)} labels ({', '.join(labels)}), trained by lexport "
            f"{info.versions['lexport']} with the recipe `{recipe['name']}`.",
            "",
            f"- **Data**: {data['name']}, {data['train']:,} texts to train on, {data['validation']:,} to choose by, "
            f"{data['test']:,} to report on; rows dropped: {dropped}. "
            f"SHA-256 of the cleaned rows: `{data['digest']}`.",
            f"- **Model**: {words:,} words (seen {recipe['text']['min_count']} times or more), "
            f"{recipe['text']['buckets']:,} buckets for n-grams of up to {recipe['text']['ngrams']} words, "
            f"{recipe['embedding']['dim']} dimensions, {info.parameters:,} parameters, seed {info.seed}.",
            f"- **Training**: {info.training['epochs']} epochs, the best one being {info.training['best_epoch']}, "
            f"{info.training['seconds']:.0f} s.",
            f"- **Limits**: {recipe['text']['max_tokens']:,} tokens a text, more are cut off. Words that the "
            "training texts did not have are read as one unknown word. The scores are not calibrated.",
            "",
            f"On the test texts: accuracy {test['accuracy']:.4f}, macro-F1 {test['macro_f1']:.4f}.",
            "",
            "| label | precision | recall | F1 | texts |",
            "|--|--:|--:|--:|--:|",
            *rows,
            "",
        ]
    )
