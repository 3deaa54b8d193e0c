// Sphinx declares it by "var" too. What a searched word means comes before the reasons and the measurements in which it stands.
var Scorer = {
  score: ([page, title, anchor, description, score]) => {
    if (/^(adr|results)\//.test(page)) return score - 20;
    return page === "concepts" ? score + 6 : score;
  },
  // Sphinx's own values
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
