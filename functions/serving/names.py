"""What the models that ship, and their inputs, are called in Simplified Chinese.

A contract is written in English. A model that is not named here keeps its English name.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["INPUTS_ZH", "MODELS_ZH", "ModelNames", "speaks_chinese"]


@dataclass(frozen=True)
class ModelNames:
    """What a model is called.

    Parameters
    ----------
    title, outcome, competing : str
        As in a contract; `competing` is empty where there is no such event.
    """

    title: str
    outcome: str
    competing: str = ""


MODELS_ZH = {
    "whas500": ModelNames("急性心肌梗死后死亡", "全因死亡"),
    "pbc": ModelNames("原发性胆汁性胆管炎的死亡或肝移植", "死亡或肝移植"),
    "mgus2": ModelNames("意义未明单克隆丙种球蛋白病的进展", "进展为浆细胞恶性肿瘤", "未进展而死亡"),
    "nafld": ModelNames("非酒精性脂肪性肝病患者的死亡", "全因死亡"),
}

INPUTS_ZH = {
    "age": "年龄",
    "female": "性别",
    "bmi": "体重指数",
    "heart_rate": "心率",
    "systolic_bp": "收缩压",
    "diastolic_bp": "舒张压",
    "atrial_fibrillation": "心房颤动",
    "congestive_heart_failure": "充血性心力衰竭",
    "cardiogenic_shock": "心源性休克",
    "complete_av_block": "完全性房室传导阻滞",
    "recurrent_mi": "再发心肌梗死（既往有记录）",
    "q_wave_mi": "Q波型心肌梗死",
    "cardiovascular_disease": "心血管疾病史",
    "hemoglobin": "血红蛋白",
    "creatinine": "肌酐",
    "m_spike": "血清单克隆蛋白",
    "bilirubin": "总胆红素",
    "albumin": "白蛋白",
    "prothrombin_time": "凝血酶原时间",
    "alkaline_phosphatase": "碱性磷酸酶",
    "ast": "天冬氨酸氨基转移酶",
    "platelets": "血小板",
    "ascites": "腹水",
    "hepatomegaly": "肝大",
    "spider_angiomata": "蜘蛛痣",
    "edema": "水肿",
    "hdl_cholesterol": "高密度脂蛋白胆固醇",
}

# Regions and script where another Chinese is written (RFC 5646).
_TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})


def speaks_chinese(locale: str) -> bool:
    """Return whether a language tag (BCP 47) asks for Simplified Chinese."""
    first, *rest = locale.lower().split("-")
    return first == "zh" and ("hans" in rest or not _TRADITIONAL & set(rest))
