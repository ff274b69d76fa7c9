// A harness as a process of its own, for tests that kill it: serves the data
// directory given as the argument and writes its URL and a newline to standard
// output. A second argument is the URL of a server of the Messages API.
// MIDWATCH_FAULT works.
#include <signal.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "base/blocking_pool.h"
#include "base/fault_points.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "harness/harness.h"
#include "net/curl_transport.h"

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) return 2;
  midwatch::EnableFaultPointsFromEnvironment();
  // Received by sigwait below, in whichever thread is spared.
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &end, nullptr);

  midwatch::RealRandom random;
  midwatch::ThreadBlockingPool pool("pool", 2);
  midwatch::RealExecutor executor("harness");
  std::unique_ptr<midwatch::Harness> harness;
  midwatch::HarnessOptions options;
  options.data_dir = argv[1];
  options.api_key = "test-key";
  if (argc == 3) options.messages.base_url = argv[2];
  std::unique_ptr<midwatch::HttpTransport> transport;
  midwatch::RunOn(executor, [&] {
    transport = midwatch::MakeCurlTransport(executor);
    options.transport = transport.get();
    auto started = midwatch::Harness::Start(
        executor, pool, midwatch::RealClock(), random, options);
    if (started.ok()) {
      harness = *std::move(started);
    } else {
      std::fprintf(stderr, "%s\n", started.status().ToString().c_str());
    }
  });
  if (harness == nullptr) return 1;
  std::printf("%s\n", harness->base_url().c_str());
  std::fflush(stdout);
  int received = 0;
  sigwait(&end, &received);
  midwatch::RunOn(executor, [&] { harness.reset(); });
  executor.Stop();
  return 0;
}
