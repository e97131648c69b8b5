#pragma once

// A module as it was read: instructions, functions, symbols.
#include <deque>
#include <functional>
#include <memory>
#include <unordered_map>

#include "program/types.hpp"

namespace ptxrun {
inline constexpr u64 shared_window = 1ull << 48;  // generic addresses of shared memory start here
inline constexpr u64 local_window = 2ull << 48;   // generic addresses of local memory start here
// From this bit on, a shared address holds one more than the rank of the block in the cluster whose
// memory it means, by mapa; 0 means the thread's own block.
inline constexpr int rank_shift = 24;

// Where 32 lanes of a value lie. Predicates are one 32-bit mask.
struct Operand {
  enum Area : u8 { REGISTER, CONSTANT, SPECIAL, ABSENT };
  u8 area = ABSENT;
  u8 bytes = 0;    // per lane, 0 of a predicate
  u32 offset = 0;  // in the area
  bool present() const { return area != ABSENT; }
};
// Registers of 8 bits have 16.
inline u8 register_bytes(Type t) { return t == PRED ? 0 : type_size(t) < 2 ? 2 : (u8)type_size(t); }

struct Warp;
struct Instr;
struct Function;
// What the warp does next after an instruction that sets its program counter.
enum Outcome : u8 { CONTINUES, BLOCKED, DONE };
using Handler = void (*)(Warp&, const Instr&, u32 mask);
using ControlHandler = Outcome (*)(Warp&, const Instr&, u32 mask);

enum Kind : u8 {
  K_LANES,     // run, for the lanes that have come
  K_TOGETHER,  // run, when the lanes named by operand e (absent: all) have come
  K_BRANCH,    // to target
  K_CONTROL    // control, which sets the program counter
};
// SP_LPARAM: parameters of functions and calls, in the local memory of the frame.
enum Space : u8 { SP_GEN, SP_GLOBAL, SP_SHARED, SP_LOCAL, SP_CONST, SP_PARAM, SP_LPARAM };

// Statistics count instructions by these; machine/report.cpp names them.
enum Category : u8 {
  CL_INT,
  CL_FP32,
  CL_FP64,
  CL_HALF,
  CL_SFU,
  CL_CVT,
  CL_MOVE,
  CL_PRED,
  CL_CONTROL,
  CL_BARRIER,
  CL_WARP,
  CL_LDG,
  CL_STG,
  CL_ATG,
  CL_LDS,
  CL_STS,
  CL_ATS,
  CL_LOCAL,
  CL_CONSTANT,
  CL_PARAM,
  CL_CPASYNC,
  CL_LDMATRIX,
  CL_MMA,
  CL_OTHER,
  CL_COUNT
};

// What is constant at run time only once the whole module is read: the start of dynamic shared
// memory, which is added to imm, or with imm makes the constant a.
enum DynamicShared : u8 { DYNAMIC_NOT, DYNAMIC_ADDRESS, DYNAMIC_CONSTANT };

struct Instr {
  Handler run = nullptr;
  ControlHandler control = nullptr;
  Kind kind = K_LANES;
  bool guard_negated = false;
  s32 guard = -1;  // frame offset of the guard predicate, -1 none
  Operand d, p, a, b, c, e;
  s64 imm = 0;                         // a constant, or the offset of address a
  s32 offset_d = 0, offset_c = 0;      // of addresses d and c
  u32 target = 0;                      // of a branch
  u32 v0 = 0, nv = 0, w0 = 0, nw = 0;  // ranges of Function::lists or Function::call_arguments
  Type t = TN, t2 = TN;
  Type type_d = TN, type_c = TN;  // of a matrix product, whose factors have types t and t2
  u16 m = 0, n = 0, k = 0;        // its shape
  u8 na = 0, nb = 0, nc = 0;      // registers of A, B and C in its list, after the nv of D
  u8 space = 0, rounding = 0, bytes = 0;
  bool ftz = false, sat = false, relu = false, neg = false, nan = false, xorsign = false;
  bool aligned = true;
  u8 op = 0, op2 = 0;         // which of the instructions that a handler does
  bool x = false, y = false;  // as the handler says
  u8 dynamic_shared = DYNAMIC_NOT;
  Category category = CL_OTHER;
  u32 operations = 0;                    // of floating point, per lane (per warp for CL_MMA)
  int line = 0;                          // of the PTX text
  int source_file = 0, source_line = 0;  // from .loc, 0 when absent
  u32 id = 0;                            // index over the whole module
  Function* callee = nullptr;
  vector<u32>* table = nullptr;
};

struct Param {
  string name;
  u32 offset, bytes, align;
};

struct Function {
  string name;
  bool entry = false, defined = false;
  bool float_atomic = false, needs_one_thread = false;  // this function or one that it calls
  vector<Instr> code;
  vector<Operand> lists;
  u32 max_threads = 1024;                       // from __launch_bounds__
  u32 cluster[3] = {};                          // from __cluster_dims__
  u32 frame = 0, local = 0, static_shared = 0;  // bytes of registers, local and shared memory
  vector<Param> params, rets;
  u32 param_bytes = 0;
  std::deque<vector<u32>> tables;              // of branches
  vector<std::pair<u32, u32>> call_arguments;  // (local offset, size)
};

struct Symbol {
  enum Kind : u8 {
    REGISTER,        // value: offset in the frame
    REGISTERS,       // count of them, made when used
    SHARED,          // value: offset
    DYNAMIC_SHARED,  // value unknown until the module is read
    GLOBAL,          // and constant memory; value: address
    LOCAL,           // value: offset in the frame's local memory
    PARAM,           // of a .func or call, in local memory as well
    KERNEL_PARAM,    // value: offset
    FUNCTION
  } kind;
  u64 value;
  Type type;
  u32 bytes;
  u32 count;
};

// What outlives the module, for the report of statistics.
struct InstrInfo {
  Category category;
  u32 operations;
  Type mma_type;
  int line, source_file, source_line;
};
}  // namespace ptxrun

struct ptx_module {
  std::string text;
  std::unordered_map<std::string, std::unique_ptr<ptxrun::Function>> functions;
  std::unordered_map<std::string, ptxrun::Symbol> symbols;
  std::vector<uint8_t> pool;  // constants, replicated over 32 lanes
  std::unordered_map<std::string, uint32_t> pool_index;
  std::vector<void*> owned;  // memory of its variables
  // Shared memory: that of the module, that of a kernel, dynamic.
  uint32_t module_shared = 0, entry_shared_base = 0, dynamic_shared_base = 0;
  uint32_t dynamic_shared_align = 128;
  std::vector<std::function<void()>> initialisers;  // that need the addresses of all symbols
  std::vector<std::string> files;
  std::shared_ptr<std::vector<ptxrun::InstrInfo>> info;
};

namespace ptxrun {
// Reads module.text into the rest of the module. Throws Failure.
void parse_module(ptx_module& module);
void release_module_memory(ptx_module& module);
}  // namespace ptxrun
