"""Looks of the methods, in the order of display; rules hand them to what draws."""

METHOD_LOOKS = {
    "control": {"label": "Control\ncells", "colour": "#8C8C8C", "kind": "baseline"},
    "random_perturbed": {"label": "Random\nperturbed", "colour": "#56B4E9", "kind": "baseline"},
    "mean_combination": {"label": "Mean of\ncombinations", "colour": "#009E73", "kind": "method"},
    "salt": {"label": "SALT", "colour": "#0072B2", "kind": "method"},
    "lcd": {"label": "LCD", "colour": "#D55E00", "kind": "method"},
    "ceiling": {"label": "Noise\nceiling", "colour": "#222222", "kind": "reference"},
}
