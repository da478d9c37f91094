"""Cards in Simplified Chinese."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from fhir_adapter.prediction import Abstention, AbstentionReason, Contribution, ModelIdentity, RiskAtHorizon
from functions.cds_hooks.words.english import DAYS_PER_YEAR, English
from functions.serving.names import INPUTS_ZH, MODELS_ZH

__all__ = ["Chinese"]

STATUS = {"research use only; not a medical device": "仅供研究使用；非医疗器械。"}
MITIGATION = {
    "The estimate recommends no action; whether and how to act is for the treating clinician to decide.": (
        "该估计不建议任何措施；是否以及如何处理由主治医生决定。"
    )
}
# What :func:`functions.serving.words.describe` says of values.
VALUES = {"present": "有", "absent": "无", "female": "女", "male": "男", "(not on record)": "无记录"}
ASSUMED = " (not on record, assumed)"
WHY = {
    AbstentionReason.MISSING_INPUT: "时间窗内缺少所需数据",
    AbstentionReason.IMPLAUSIBLE_INPUT: "有数据超出合理范围，请核对病历",
    AbstentionReason.UNIT_NOT_CONVERTIBLE: "有数据的单位无法换算",
    AbstentionReason.OUTSIDE_POPULATION: "患者不属于该模型的适用人群",
    AbstentionReason.NO_INDEX_TIME: "就诊没有开始时间",
    AbstentionReason.NOT_COMPUTABLE: "现有数据无法得出数值，请核对病历",
}


class Chinese(English):
    """The words."""

    language = "zh"
    titles: ClassVar[Mapping[str, str]] = {
        "patient-view": "风险预测",
        "order-select": "与医嘱相关的风险预测",
        "encounter-discharge": "出院后风险预测",
        "appointment-book": "用于预约安排的风险预测",
    }
    requirements = (
        "请发送 prefetch 数据，或提供可读取相同数据的 fhirServer 和 fhirAuthorization。"
        "有就诊时请在调用中给出；否则只显示已存储的预测。"
    )
    open_app = "在 Bedside 中打开"
    not_confirmed = "初步结果，由人工智能生成；尚未经医生确认。"
    confirmed = "由人工智能生成；已经医生确认。"
    after_stay = "适用于出院时存活且未发生该事件的患者。"
    just_now = "刚刚计算得出；尚未写入病历。"
    reasons: ClassVar[Mapping[str, str]] = {
        "known": "已知晓",
        "not-applicable": "不适用于该患者",
        "data-wrong": "所依据的数据有误",
        "disagree": "本人判断不同",
    }
    comma, colon, space = "，", "：", ""
    below, above = "低于0.1%", "高于99%"

    def title(self, model: ModelIdentity) -> str:
        """What a model answers."""
        names = MODELS_ZH.get(model.name)
        return names.title if names else model.title

    def outcome(self, model: ModelIdentity) -> str:
        """The predicted event."""
        names = MODELS_ZH.get(model.name)
        return names.outcome if names else model.outcome_text

    def competing(self, model: ModelIdentity) -> str:
        """The event that may come first."""
        names = MODELS_ZH.get(model.name)
        return names.competing if names and names.competing else model.competing_text

    def input_name(self, name: str, display: str) -> str:
        """What an input is called."""
        return INPUTS_ZH.get(name, display)

    def status(self, model: ModelIdentity) -> str:
        """Its regulatory status."""
        return STATUS.get(model.status, model.status)

    def mitigation(self, model: ModelIdentity) -> str:
        """What may be done about the risk."""
        return MITIGATION.get(model.mitigation, model.mitigation)

    def service_description(self, hook: str, models: Sequence[ModelIdentity]) -> str:
        """Return what a service tells."""
        return f"{self.titles[hook]}：{'；'.join(self.title(model) for model in models)}。仅供研究使用；非医疗器械。"

    def horizon(self, days: float) -> str:
        """Return a horizon in years where it is whole years, else in days."""
        years, rest = divmod(days, DAYS_PER_YEAR)
        return f"{days:g}天" if rest or not years else f"{years:g}年"

    def day(self, at: datetime) -> str:
        """Return a day of the tenant's calendar."""
        local = at.astimezone(self._zone)
        return f"{local.year}年{local.month}月{local.day}日"

    def time(self, at: datetime) -> str:
        """Return an instant on the tenant's clock."""
        return f"{self.day(at)} {at.astimezone(self._zone):%H:%M}"

    def start(self, since: datetime | None, after_stay: bool) -> str:
        """Return from when horizons count; empty where that is not known."""
        return "出院后" if after_stay else f"自{self.day(since)}起" if since else ""

    def summary(self, model: ModelIdentity, risks: Sequence[RiskAtHorizon], start: str) -> str:
        """Return a prediction in one sentence."""
        told = self.comma.join(f"{self.horizon(risk.days)}内 {self.percent(risk.probability)}" for risk in risks)
        return f"{self.outcome(model)}：{start}{told}"

    def risk(self, risk: RiskAtHorizon) -> tuple[str, str, str]:
        """Return horizon, risk and interval."""
        low, high = (self.percent(bound) for bound in risk.interval) if risk.interval else ("", "")
        interval = f"95% 区间 {low} 至 {high}" if risk.interval else ""
        return f"{self.horizon(risk.days)}内", self.percent(risk.probability), interval

    def heading(self, model: ModelIdentity, start: str) -> str:
        """Return what the list of risks is about."""
        return f"{self.outcome(model)}{f'（{start}）' if start else ''}"

    def competing_heading(self, model: ModelIdentity) -> str:
        """Return what the second list is about."""
        return f"竞争事件：{self.competing(model)}"

    def moved(self, contributions: Sequence[Contribution], rationale: str) -> str:  # noqa: ARG002 - it is in English
        """Return what moved the risk most; a stored reason is in English words and is left to the app."""
        named = [
            f"{self.input_name(item.name, item.display)}（{_value(item.value)}）{_direction(item)}"
            for item in contributions
        ]
        return f"主要影响因素：{'；'.join(named)}。" if named else ""

    def as_of(self, at: datetime) -> str:
        """Return until when the record was looked at."""
        return f"依据截至 {self.time(at)} 的病历数据。"

    def ordered(self, names: Sequence[str]) -> str:
        """Return why an order brought this card."""
        return f"所选医嘱与该预测有关：{'、'.join(names)}。其结果将更新该预测。"

    def no_prediction(self, model: ModelIdentity) -> str:
        """Return that there is none."""
        return f"无预测：{self.title(model)}"

    def why_not(self, abstention: Abstention) -> str:
        """Return why there is none."""
        why = WHY.get(abstention.reason)
        if why is None:
            return abstention.detail
        named = "、".join(self.input_name(name, name) for name in abstention.inputs)
        return f"{why}：{named}。" if named else f"{why}。"

    def flag_label(self) -> str:
        """Return the label of the suggestion to raise a flag."""
        return "在病历中标记该风险"

    def flag_text(self, told: str) -> str:
        """Return what the flag says."""
        return f"{told}（人工智能预测，初步结果）"

    def attach_label(self) -> str:
        """Return the label of the suggestion to attach the prediction."""
        return "将预测附于预约"


def _direction(item: Contribution) -> str:
    return "升高风险" if item.effect > 0 else "降低风险"


def _value(text: str) -> str:
    """Return a value in words for people; units stay as they are."""
    assumed = text.endswith(ASSUMED)
    plain = text.removesuffix(ASSUMED)
    told = VALUES.get(plain, plain.removesuffix(" years") + "岁" if plain.endswith(" years") else plain)
    return f"{told}{'，无记录，按假设值' if assumed else ''}"
