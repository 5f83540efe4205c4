;; The algorithm of vmlab/programs/sieve.vm, with a byte a number; n is at most 4,194,304.

(module
  (memory 64 64)

  (func (export "main") (param $count_to i64) (result i64)
    (local $n i32) (local $i i32) (local $j i32) (local $count i32)
    (local.set $n (i32.wrap_i64 (local.get $count_to)))
    (memory.fill (i32.const 0) (i32.const 0) (local.get $n))

    (local.set $i (i32.const 2))
    (local.set $j (i32.const 4))  ;; the square of i
    (block $crossed
      (br_if $crossed (i32.ge_s (local.get $j) (local.get $n)))
      (loop $primes
        (if (i32.eqz (i32.load8_u (local.get $i)))
          (then
            (loop $multiples
              (i32.store8 (local.get $j) (i32.const 1))
              (br_if $multiples
                (i32.lt_s
                  (local.tee $j (i32.add (local.get $j) (local.get $i)))
                  (local.get $n))))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $primes
          (i32.lt_s
            (local.tee $j (i32.mul (local.get $i) (local.get $i)))
            (local.get $n)))))

    (local.set $i (i32.const 2))
    (block $counted
      (br_if $counted (i32.ge_s (local.get $i) (local.get $n)))
      (loop $numbers
        (local.set $count
          (i32.add
            (local.get $count)
            (i32.eqz (i32.load8_u (local.get $i)))))
        (br_if $numbers
          (i32.lt_s
            (local.tee $i (i32.add (local.get $i) (i32.const 1)))
            (local.get $n)))))
    (i64.extend_i32_s (local.get $count))))
