// Drives a fuzz target without libFuzzer, as a test that any compiler builds:
// every input of the corpus as it is, then RUNS mutations of them, the same
// ones each time.
//
//   TARGET CORPUS_FOLDER RUNS
//   TARGET FILE              only this input: what a failed run left behind
//
// An input that kills the process is left in fuzz-failure.TARGET.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace {

constexpr size_t kInputBytesMax = 4096;

// For the handler of signals, which may not allocate.
std::string failure_path;
std::string input;

extern "C" void LeaveInput(int signal) {
  int file = open(failure_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file < 0 || write(file, input.data(), input.size()) < 0) _exit(1);
  ::signal(signal, SIG_DFL);
  raise(signal);
}

void Run(std::string bytes) {
  input = std::move(bytes);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()),
                         input.size());
}

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> ReadCorpus(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const auto& path : paths) corpus.push_back(ReadFile(path));
  return corpus;
}

// Not libFuzzer: no coverage guides it. It finds what a slip of the hand in the
// code under test breaks.
class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& corpus) : corpus_(corpus) {}

  std::string Next() {
    std::string text = Any();
    for (size_t left = 1 + Below(6); left > 0; --left) Mutate(text);
    if (text.size() > kInputBytesMax) text.resize(kInputBytesMax);
    return text;
  }

 private:
  // std::uniform_int_distribution differs between libraries.
  size_t Below(size_t bound) { return random_() % bound; }
  const std::string& Any() { return corpus_[Below(corpus_.size())]; }

  std::string PieceOf(const std::string& text) {
    size_t at = Below(text.size() + 1);
    return text.substr(at, Below(text.size() - at + 1));
  }

  void Mutate(std::string& text) {
    const size_t at = Below(text.size() + 1);
    switch (Below(6)) {
      case 0:
        text.insert(at, 1, static_cast<char>(Below(256)));
        break;
      case 1:
        text.erase(at, Below(text.size() - at + 1));
        break;
      case 2:
        if (at < text.size()) text[at] ^= static_cast<char>(1 << Below(8));
        break;
      case 3:
        text.insert(at, PieceOf(text));
        break;
      case 4:
        text.insert(at, PieceOf(Any()));
        break;
      default:
        if (at < text.size()) text.insert(at, Below(40), text[at]);
    }
  }

  const std::vector<std::string>& corpus_;
  std::mt19937_64 random_{20261123};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER RUNS | FILE\n", argv[0]);
    return 2;
  }
  failure_path =
      "fuzz-failure." + std::filesystem::path(argv[0]).filename().string();
  for (int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM}) {
    // On a stack of its own: a recursion without end uses up the other.
    static char stack[1 << 16];
    stack_t alternate = {stack, 0, sizeof stack};
    sigaltstack(&alternate, nullptr);
    struct sigaction action = {};
    action.sa_handler = LeaveInput;
    action.sa_flags = SA_ONSTACK;
    sigaction(signal, &action, nullptr);
  }
  if (argc == 2) {
    Run(ReadFile(argv[1]));
    return 0;
  }
  const std::vector<std::string> corpus = ReadCorpus(argv[1]);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: no inputs\n", argv[1]);
    return 1;
  }
  for (const std::string& text : corpus) Run(text);
  Mutator mutator(corpus);
  const int runs = std::atoi(argv[2]);
  for (int i = 0; i < runs; ++i) {
    alarm(10);  // for each input: one that takes so long is a finding
    Run(mutator.Next());
  }
  std::printf("%zu inputs of the corpus, %d mutations\n", corpus.size(), runs);
  return 0;
}
