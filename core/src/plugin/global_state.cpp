#include "base/hash.hpp"
#include "base/nearest_name.hpp"

#include <qtk/testing/global_state.hpp>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

#include <clocale>
#include <csignal>
#include <filesystem>
#include <vector>

namespace qtk::testing {
namespace {

std::string modes() {
  return std::to_string(c10::GradMode::is_enabled()) +
         std::to_string(c10::InferenceMode::is_enabled());
}

std::string determinism() {
  const at::Context& context = at::globalContext();
  return std::to_string(context.deterministicAlgorithms()) +
         std::to_string(context.deterministicCuDNN()) + std::to_string(context.benchmarkCuDNN());
}

std::string generator_state() {
  const at::Generator& generator = at::detail::getDefaultCPUGenerator();
  const at::Tensor state = generator.get_state();
  return fingerprint({static_cast<const char*>(state.const_data_ptr()), state.nbytes()});
}

std::string signal_mask() {
  sigset_t mask;
  ::sigemptyset(&mask);
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  std::string text;
  for (int signal = 1; signal < NSIG; ++signal)
    text += ::sigismember(&mask, signal) == 1 ? '1' : '0';
  return text;
}

}  // namespace

GlobalState::GlobalState()
    : default_dtype_(c10::get_default_dtype().name()),
      modes_(modes()),
      threads_(std::to_string(at::get_num_threads())),
      determinism_(determinism()),
      generator_(generator_state()),
      locale_(std::setlocale(LC_ALL, nullptr)),
      folder_(std::filesystem::current_path().string()),
      signals_(signal_mask()) {}

std::string GlobalState::changes() const {
  const GlobalState now;
  std::vector<std::string> changed;
  const auto compare = [&](std::string GlobalState::*field, const char* what) {
    if (this->*field != now.*field) changed.emplace_back(what);
  };
  compare(&GlobalState::default_dtype_, "the default dtype");
  compare(&GlobalState::modes_, "the gradient or inference mode");
  compare(&GlobalState::threads_, "the number of threads");
  compare(&GlobalState::determinism_, "the determinism flags");
  compare(&GlobalState::generator_, "the random generator");
  compare(&GlobalState::locale_, "the locale");
  compare(&GlobalState::folder_, "the working directory");
  compare(&GlobalState::signals_, "the signal mask");
  return join(changed);
}

}  // namespace qtk::testing
