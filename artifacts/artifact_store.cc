#include "artifacts/artifact_store.h"

#include <algorithm>

namespace midwatch {

bool IsArtifactName(absl::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace midwatch
