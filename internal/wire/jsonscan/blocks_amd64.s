#include "textflag.h"

// MARK marks of 16 bytes, as the bits of three words from bit shift on, which are a quote, a
// backslash, an n. X8 to X11 hold what it compares with; X6 takes which are below 0x20, and X7
// all of them.
#define MARK(offset, shift) \
	MOVOU offset(SI), X0   \
	POR X0, X7             \
	MOVO X0, X1            \
	PCMPEQB X8, X1         \
	MOVO X0, X2            \
	PCMPEQB X9, X2         \
	MOVO X0, X3            \
	PCMPEQB X10, X3        \
	MOVO X0, X4            \
	PMINUB X11, X4         \
	PCMPEQB X0, X4         \
	POR X4, X6             \
	PMOVMSKB X1, CX        \
	PMOVMSKB X2, DX        \
	PMOVMSKB X3, R8        \
	SHLQ $shift, CX        \
	SHLQ $shift, DX        \
	SHLQ $shift, R8        \
	ORQ CX, AX             \
	ORQ DX, BX             \
	ORQ R8, DI

#define FILL(bytes, register) \
	MOVQ $bytes, CX           \
	MOVQ CX, register         \
	PUNPCKLQDQ register, register

// func mark(b *[block]byte) (quotes, slashes, ens uint64, controls, wide uint32)
TEXT ·mark(SB), NOSPLIT, $0-40
	MOVQ b+0(FP), SI
	FILL(0x2222222222222222, X8)
	FILL(0x5c5c5c5c5c5c5c5c, X9)
	FILL(0x6e6e6e6e6e6e6e6e, X10)
	FILL(0x1f1f1f1f1f1f1f1f, X11)
	PXOR X6, X6
	PXOR X7, X7
	XORQ AX, AX
	XORQ BX, BX
	XORQ DI, DI
	MARK(0, 0)
	MARK(16, 16)
	MARK(32, 32)
	MARK(48, 48)
	PMOVMSKB X6, CX
	PMOVMSKB X7, DX
	MOVQ AX, quotes+8(FP)
	MOVQ BX, slashes+16(FP)
	MOVQ DI, ens+24(FP)
	MOVL CX, controls+32(FP)
	MOVL DX, wide+36(FP)
	RET
