// Which attempts fail for what they left, and how many a task may have of that:
// by what the service's script gave each session.
#ifndef MIDWATCH_TESTS_SIM_OUTPUT_MODEL_H_
#define MIDWATCH_TESTS_SIM_OUTPUT_MODEL_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/sqlite.h"
#include "tests/sim/counts.h"
#include "tests/sim/journal_model.h"

namespace midwatch::sim {

class OutputModel {
 public:
  // `counts` outlives it.
  OutputModel(JournalModel::Report report, Counts& counts)
      : report_(std::move(report)), counts_(counts) {}

  // The session's next turn leaves its files, with this wrong about them; "":
  // nothing is.
  void Turn(const std::string& session, std::string wrong);
  // Each row once, with the session of its attempt and how often its task has
  // failed, this time with it.
  void Fold(const JournalRow& row, const std::string& session, int failures,
            Sqlite& queue);
  // One of its turns left what will not do.
  bool IsBad(const std::string& session) const;

 private:
  void CheckVerdict(const JournalRow& row, const std::string& session);
  void CheckTries(const JournalRow& row, int failures, int tries);

  JournalModel::Report report_;
  Counts& counts_;
  std::map<std::string, std::vector<std::string>> turns_;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_OUTPUT_MODEL_H_
