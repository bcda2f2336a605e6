"""Where the defects are drawn from: reports of bugs in published libraries, and papers that audited them."""

GITHUB = "https://github.com/"
ARXIV = "https://arxiv.org/abs/"


def issue(library: str, repository: str, number: int) -> str:
    """A link to a report or a change of a library."""
    return f"[{library} #{number}]({GITHUB}{repository}/issues/{number})"


def paper(authors: str, number: str) -> str:
    """A link to a paper."""
    return f"[{authors}]({ARXIV}{number})"


DATASYNTHESIZER_34 = issue("DataSynthesizer", "DataResponsibly/DataSynthesizer", 34)
MBI_11 = issue("mbi", "ryan112358/mbi", 11)
MBI_65 = issue("mbi", "ryan112358/mbi", 65)
SYNTHCITY_275 = issue("synthcity", "vanderschaarlab/synthcity", 275)
SYNTHCITY_276 = issue("synthcity", "vanderschaarlab/synthcity", 276)
SYNTHCITY_278 = issue("synthcity", "vanderschaarlab/synthcity", 278)
PATE_GAN_29 = issue("mlforhealthlabpub", "vanderschaarlab/mlforhealthlabpub", 29)
DPART_6 = issue("dpart", "hazy/dpart", 6)
SMARTNOISE_621 = issue("SmartNoise", "opendp/smartnoise-sdk", 621)
SMARTNOISE_622 = issue("SmartNoise", "opendp/smartnoise-sdk", 622)
DPMM_18 = issue("dpmm", "sassoftware/dpmm", 18)
DPMM_24 = issue("dpmm", "sassoftware/dpmm", 24)
REPROSYN_38 = issue("reprosyn", "alan-turing-institute/reprosyn", 38)
OPACUS_80 = issue("Opacus", "meta-pytorch/opacus", 80)
OPACUS_346 = issue("Opacus", "meta-pytorch/opacus", 346)
OPACUS_571 = issue("Opacus", "meta-pytorch/opacus", 571)
OPACUS_616 = issue("Opacus", "meta-pytorch/opacus", 616)
DIFFPRIVLIB_19 = issue("diffprivlib", "IBM/differential-privacy-library", 19)
DIFFPRIVLIB_94 = issue("diffprivlib", "IBM/differential-privacy-library", 94)
GOOGLE_126 = issue("Google's library", "google/differential-privacy", 126)
GOOGLE_378 = issue("dp_accounting", "google/differential-privacy", 378)
SMARTNOISE_308 = issue("SmartNoise", "opendp/smartnoise-sdk", 308)
GOOGLE_72 = issue("Google's library", "google/differential-privacy", 72)
UBER_1 = issue("Uber's SQL library", "uber-archive/sql-differential-privacy", 1)
DATAXID_19 = issue("dataxid", "dataxid/dataxid-python", 19)

THEORY_ALONE = paper("Annamalai, Ganev, De Cristofaro 2024", "2405.10994")
ELUSIVE = paper("Ganev, Annamalai, De Cristofaro 2024", "2406.13985")
DP_RECORDER = paper("Cebere et al. 2026", "2602.17454")
DEBUGGING = paper("Tramèr et al. 2022", "2202.12219")
UNDERESTIMATED = paper("Casacuberta et al. 2022", "2207.10635")
DISCRETE = paper("Ganev et al. 2025", "2504.06923")
RECONSYN = paper("Ganev, De Cristofaro 2023", "2312.05114")
GROUNDHOG = paper("Stadler, Oprisanu, Troncoso 2022", "2011.07018")
SHUFFLED = paper("Annamalai, Balle, De Cristofaro, Hayes 2024", "2411.10614")
USER_LEVEL = paper("Levy et al. 2021", "2102.11845")
WILSON = paper("Wilson et al. 2020", "1909.01917")
PRIVLAVA = paper("Cai, Xiao, Cormode 2023", "2304.04545")
OPACUS_FAQ = f"[Opacus, module validation]({GITHUB}meta-pytorch/opacus/blob/main/opacus/validators/batch_norm.py)"
