#include "worker/term.h"

#include <algorithm>

namespace midwatch {

void WorkerTerm::Extend(absl::Duration mark, absl::Duration term) {
  end_ = std::max(end_, mark + term);
}

}  // namespace midwatch
