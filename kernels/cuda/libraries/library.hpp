#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pixeldp::kernels {

/// Where `file` lies, in order, in the folders that the environment variable PIXELDP_LIBRARIES
/// names, separated by colons, and in their */lib, as Python packages lay them out (the folder
/// `nvidia` beside PyTorch); then in the toolkit of CUDA_HOME, or /usr/local/cuda.
std::vector<std::string> library_files(std::string_view file);

/// A shared library that the program can do without: looked for when it is first needed, never
/// unloaded.
class Library {
 public:
  /// What the program is linked with already (or has preloaded) is taken where it has the function
  /// `probe`; else `file` is loaded, as the system finds it (beside the program's own libraries,
  /// too); else the first of library_files() that can be.
  Library(const char* file, const char* probe);

  explicit operator bool() const { return handle_ != nullptr; }

  /// Sets `function` to the library's function of this name; null where there is none.
  template <class Function>
  bool find(const char* name, Function*& function) const {
    function = reinterpret_cast<Function*>(address(name));
    return function != nullptr;
  }

 private:
  void* address(const char* name) const;

  void* handle_ = nullptr;
};

/// The text of what a macro stands for.
#define PIXELDP_TEXT_OF(name) #name
#define PIXELDP_TEXT(name) PIXELDP_TEXT_OF(name)

/// Within a structure, after a member `library`: a pointer of its own name to each function that
/// LIST(X) names by X(name), as the library's header declares it, and `complete`, whether the
/// library has them all.
#define PIXELDP_LIBRARY_FUNCTIONS(LIST) \
  LIST(PIXELDP_LIBRARY_MEMBER)          \
  bool complete = library LIST(PIXELDP_LIBRARY_FIND);
#define PIXELDP_LIBRARY_MEMBER(name) decltype(&::name) name = nullptr;
#define PIXELDP_LIBRARY_FIND(name) &&library.find(PIXELDP_TEXT(name), name)

}  // namespace pixeldp::kernels
