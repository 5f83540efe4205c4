;; The algorithm of vmlab/programs/collatz.vm.

(module
  (func (export "main") (param $n i64) (result i64)
    (local $start i64) (local $k i64) (local $steps i64)
    (local $longest i64) (local $best i64)
    (local.set $start (i64.const 1))
    (block $done
      (br_if $done (i64.ge_s (local.get $start) (local.get $n)))
      (loop $starts
        (local.set $k (local.get $start))
        (local.set $steps (i64.const 1))
        (block $arrived
          (br_if $arrived (i64.eq (local.get $k) (i64.const 1)))
          (loop $chain
            (if (i32.wrap_i64 (i64.and (local.get $k) (i64.const 1)))
              (then
                (local.set $k
                  (i64.add (i64.mul (local.get $k) (i64.const 3)) (i64.const 1))))
              (else
                (local.set $k (i64.shr_s (local.get $k) (i64.const 1)))))
            (local.set $steps (i64.add (local.get $steps) (i64.const 1)))
            (br_if $chain (i64.ne (local.get $k) (i64.const 1)))))
        (if (i64.gt_s (local.get $steps) (local.get $longest))
          (then
            (local.set $longest (local.get $steps))
            (local.set $best (local.get $start))))
        (local.set $start (i64.add (local.get $start) (i64.const 1)))
        (br_if $starts (i64.lt_s (local.get $start) (local.get $n)))))
    (local.get $best)))
