// Matrices as columns of vectors.
#pragma once

namespace metal {

template <class T, int C, int R>
struct matrix {
  vec<T, R> columns[C];

  matrix() = default;
  explicit matrix(T diagonal) {
    for (int i = 0; i < C; i++) {
      columns[i] = vec<T, R>((T)0);
      if (i < R) columns[i][i] = diagonal;
    }
  }
  template <class... A, class = std::enable_if_t<sizeof...(A) == C>>
  matrix(const A &...given) {
    int k = 0;
    ((columns[k++] = vec<T, R>(given)), ...);
  }
  template <class S>
  explicit matrix(const matrix<S, C, R> &other) {
    for (int i = 0; i < C; i++) columns[i] = vec<T, R>(other.columns[i]);
  }

  vec<T, R> &operator[](size_t i) { return columns[i]; }
  const vec<T, R> &operator[](size_t i) const { return columns[i]; }
  friend matrix operator*(const matrix &a, T factor) {
    matrix r;
    for (int i = 0; i < C; i++) r.columns[i] = a.columns[i] * vec<T, R>(factor);
    return r;
  }
  friend matrix operator*(T factor, const matrix &a) { return a * factor; }
};

// Row vector times matrix.
template <class T, int C, int R>
inline vec<T, C> operator*(const vec<T, R> &v, const matrix<T, C, R> &m) {
  vec<T, C> r;
  for (int j = 0; j < C; j++) {
    T sum = 0;
    for (int i = 0; i < R; i++) sum = sum + v[i] * m.columns[j][i];
    r[j] = sum;
  }
  return r;
}

// Matrix times column vector.
template <class T, int C, int R>
inline vec<T, R> operator*(const matrix<T, C, R> &m, const vec<T, C> &v) {
  vec<T, R> r((T)0);
  for (int j = 0; j < C; j++) r = r + m.columns[j] * vec<T, R>(v[j]);
  return r;
}

#define MSL_MATRICES(T)           \
  typedef matrix<T, 2, 2> T##2x2; \
  typedef matrix<T, 3, 3> T##3x3; \
  typedef matrix<T, 4, 4> T##4x4; \
  typedef matrix<T, 2, 4> T##2x4; \
  typedef matrix<T, 4, 2> T##4x2;
MSL_MATRICES(float)
MSL_MATRICES(half)
MSL_MATRICES(bfloat)
#undef MSL_MATRICES

}  // namespace metal
