// SPDX-License-Identifier: Apache-2.0
// Reports to authorities: clocks, facts, drafts, officers.
export const reportEn = {
  title: "Reports", lead: "What the law wants to be told of incidents, by whom and until when. The program drafts and runs the clocks; people decide, sign and file.",
  none: "No reports", noneText: "A grave incident opens its own; of another one you open it.", report: "Report", number: (id: string) => `Report ${id}`, of: "Incident", level: "Level", might: "Might be", nothingReached: "No level is reached", discovered: "Discovered", pack: "Law pack", dated: (day: string) => `true on ${day}`,
  clocks: "Clocks of reports", next: "Next", noClock: "No clock runs", left: (text: string) => `${text} left`, over: (text: string) => `${text} over its time`, waits: "Begins when the incident is closed", applies: "applies", mightApply: "might apply", filed: "Filed", due: "Until",
  whole: "Whole report", openOne: "Open a report", opened: "Opened.", decides: "A person decides the level", decidesText: "What the law leaves to judgement stays open until somebody has said.",
  days: (n: number) => `${n} d`, hours: (h: number, m: number) => `${h} h ${m} min`, minutes: (m: number, s: number) => `${m} min ${s} s`,
  facts: "What is known", factsHint: "What nobody has told counts as open, never as no.", fact: "Fact", value: "Value", open: "open", tell: "Tell", told: "Told.", unknown: "Not known any more", yes: "yes", no: "no", grade: (n: number) => `level ${n}`,
  factNames: {
    persons: "Persons whose data leaked", sensitive_persons: "of them with sensitive data", affected_persons: "Persons affected", loss_yuan: "Loss in yuan", outage_minutes: "Outage in minutes", important_data: "Important data", core_data: "Core data",
    public_interest: "National security or public interest", crime: "Suspected crime", defect: "Security defect", cii: "The office is critical infrastructure", central_organ: "The office is a central organ", judgement: "Grade by judgement",
  },
  items: "What it has to contain", missing: "missing", later: "the first report may go without it", write: "Write", itemText: "Text", saved: "Kept.", draft: "Draft", english: "English", chinese: "Chinese",
  file: "I have filed it", fileTitle: "It was filed", fileText: "The program files nothing. Say what the authority gave you; its clock stops.", receipt: "Receipt", fileDone: "Its clock stands.",
  sign: "Sign", signTitle: "Sign the draft as it is", signText: "The texts are frozen and their SHA-256 goes on the ledger in your name.", phase: "Which report", phases: { first: "First", further: "Further", closing: "Closing" }, incomplete: (n: number) => `Sign although ${n === 1 ? "one item is" : `${n} items are`} missing`, signed: "Signed.",
  papers: "Signed", noPapers: "Nothing is signed yet.", signedBy: (who: string) => `by ${who}`,
  officers: "Officers", noOfficers: "No officer is named", noOfficersText: "Documents of kind Officer name who is responsible.", vacant: "vacant", deputies: "Deputies", contact: "Reached at", duty: "Responsible for",
};
