"""Names in Simplified Chinese of what diagnosis models look for, measure and read, by code or by name of the input."""

from __future__ import annotations

__all__ = ["CODES_ZH", "INPUTS_ZH", "TITLES_ZH", "VALUES_ZH"]

TITLES_ZH = {
    "ecg": "十二导联心电图的节律与间期",
    "thyroid": "根据五项化验判断甲状腺状态",
    "cxr-pneumonia-paediatric": "幼儿胸片上的肺炎",
}

# SNOMED CT and LOINC codes do not collide.
CODES_ZH = {
    "164889003": "心电图示心房颤动",
    "233917008": "房室传导阻滞",
    "426783006": "心电图示窦性心律",
    "233604007": "肺炎",
    "40930008": "甲状腺功能减退症",
    "34486009": "甲状腺功能亢进症",
    # a finding that no code says
    "Normal thyroid function": "甲状腺功能正常",
    "8867-4": "心率",
    "8637-1": "R-R 间期",
    "8625-6": "P-R 间期",
    "8633-0": "QRS 时限",
    "8634-8": "Q-T 间期",
    "76635-2": "校正 Q-T 间期（Bazett）",
    "76634-5": "校正 Q-T 间期（Fridericia）",
}

INPUTS_ZH = {
    "t3_resin_uptake": "T3 树脂摄取率（正常血清的百分比）",
    "thyroxine": "总甲状腺素（T4）",
    "triiodothyronine": "总三碘甲状腺原氨酸（T3）",
    "tsh": "促甲状腺激素（TSH）",
    "tsh_response": "注射 200 µg TRH 后 TSH 的最大变化",
}

# What stands in place of a quantity.
VALUES_ZH = {"present": "有", "absent": "无", "female": "女", "male": "男"}
